import gevent

from app.extensions import db
from app.models import Image


def shrink(image_id):
    db.session.get(Image, image_id).shrink()


def later(image_id):
    gevent.spawn(shrink, image_id)  # TXN403
