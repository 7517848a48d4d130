from app.database import SessionLocal
from app.models import Job


def finish(job_id, ok):
    session = SessionLocal()  # TXN301
    job = session.get(Job, job_id)
    job.ok = ok
    session.commit()
    if job.parent_id is None:
        session.close()
