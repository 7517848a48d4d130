from app.extensions import db
from app.models import Thumbnail


def forget(book_id, log):
    try:
        db.session.query(Thumbnail).filter_by(book_id=book_id).delete()
        db.session.commit()
    except Exception as error:  # TXN201
        log.debug("not deleted: %s", error)
