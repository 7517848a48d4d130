from app.extensions import db
from app.tasks import reindex


class Page(db.Model):
    __tablename__ = "page"


def publish(page_id):
    page = db.session.get(Page, page_id)
    page.public = True
    reindex.delay(page_id)  # TXN503
    db.session.commit()
