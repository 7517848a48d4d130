from sqlalchemy import update

from app.extensions import db
from app.models import Job
from app.tasks import run


def restart(job_id):
    db.session.execute(update(Job).where(Job.id == job_id).values(state="queued"))
    run.delay(job_id)  # TXN503
    db.session.commit()
