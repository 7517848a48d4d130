from redis import Redis
from rq import Queue

from app.extensions import db
from app.jobs import shrink


class Image(db.Model):
    __tablename__ = "image"


queue = Queue(connection=Redis())


def upload(image_id):
    image = db.session.get(Image, image_id)
    queue.enqueue(shrink, image)  # TXN401
