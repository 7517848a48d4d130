from rq.decorators import job

from app.extensions import db
from app.models import Thumbnail


@job("images")
def thumbnail(image_id):
    db.session.merge(Thumbnail(image_id=image_id))  # TXN101
