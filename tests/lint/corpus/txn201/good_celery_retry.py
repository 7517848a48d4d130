from celery import shared_task

from app.extensions import db
from app.models import Sync


@shared_task(bind=True)
def sync(self, sync_id):
    try:
        db.session.get(Sync, sync_id).run()
        db.session.commit()
    except Exception as error:
        raise self.retry(exc=error)
