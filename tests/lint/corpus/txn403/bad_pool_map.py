from multiprocessing.pool import ThreadPool

from app.extensions import db
from app.models import Image


def shrink(image_id):
    db.session.get(Image, image_id).shrink()


def shrink_all(ids):
    with ThreadPool(4) as pool:
        pool.map(shrink, ids)  # TXN403
