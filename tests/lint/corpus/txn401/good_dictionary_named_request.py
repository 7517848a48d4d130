from app.extensions import db
from app.tasks import crawl


def start(request: dict):
    db.session.commit()
    crawl.delay(request)
