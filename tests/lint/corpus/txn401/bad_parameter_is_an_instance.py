from app.extensions import db
from app.tasks import reindex


class Page(db.Model):
    __tablename__ = "page"


def publish(page: Page):
    page.public = True
    db.session.commit()
    reindex.apply_async(args=[page])  # TXN401
