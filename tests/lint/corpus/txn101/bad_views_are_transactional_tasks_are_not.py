from app.extensions import app, celery, db
from app.models import Visit

app.config.from_mapping(SAFESESSION_TRANSACTIONAL_VIEWS=True)


@celery.task
def count_visit(path):
    db.session.add(Visit(path=path))  # TXN101
