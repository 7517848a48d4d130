from threading import Thread

from app.database import SessionLocal
from app.models import Visit


def store(path):
    with SessionLocal() as session:
        session.add(Visit(path=path))
        session.commit()


def visit(path):
    Thread(target=store, args=(path,)).start()
