from app.extensions import celery, db
from app.models import Visit


@celery.task(transactional=True)
def count_visit(path):
    db.session.add(Visit(path=path))
