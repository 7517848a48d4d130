from multiprocessing.pool import ThreadPool

from app.extensions import db
from app.images import shrink


def shrink_all(paths):
    db.session.commit()
    with ThreadPool() as pool:
        return pool.map(shrink, paths)
