import dramatiq

from app.extensions import db
from app.models import Image


@dramatiq.actor
def shrink(image_id):
    print(image_id)


def upload(path):
    image = Image(path=path)
    db.session.add(image)
    db.session.flush()
    shrink.send(image.id)  # TXN503
    db.session.commit()
