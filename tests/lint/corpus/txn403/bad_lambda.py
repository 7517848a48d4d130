from concurrent.futures import ThreadPoolExecutor

from app.extensions import db
from app.models import Visit

pool = ThreadPoolExecutor()


def visit(path):
    pool.submit(lambda: db.session.add(Visit(path=path)))  # TXN403
