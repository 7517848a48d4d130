from concurrent.futures import ThreadPoolExecutor

from app.extensions import db
from app.models import Image

executor = ThreadPoolExecutor(2)


def shrink(image_id):
    db.session.get(Image, image_id).shrink()
    db.session.commit()


def upload(image_id):
    executor.submit(shrink, image_id)  # TXN403
