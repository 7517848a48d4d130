import logging

from app.database import SessionLocal
from app.models import Job


def run(job_id):
    session = SessionLocal()
    try:
        session.get(Job, job_id).run()
        session.commit()
    except Exception:
        logging.exception("job failed")
    finally:
        session.close()
