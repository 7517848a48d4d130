from celery import shared_task

from app.database import SessionLocal
from app.models import Mail


@shared_task
def send(mail_id):
    session = SessionLocal()
    try:
        session.get(Mail, mail_id).send()
        session.commit()
    finally:
        session.close()
