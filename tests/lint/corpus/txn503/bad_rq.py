from redis import Redis
from rq import Queue

from app.extensions import db
from app.jobs import shrink
from app.models import Image

queue = Queue(connection=Redis())


def upload(path):
    image = Image(path=path)
    db.session.add(image)
    db.session.flush()
    queue.enqueue(shrink, image.id)  # TXN503
    db.session.commit()
