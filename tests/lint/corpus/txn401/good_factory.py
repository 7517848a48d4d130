from threading import Thread

from sqlalchemy.orm import sessionmaker

from app.engine import engine
from app.export import write

Session = sessionmaker(engine)


def export(path):
    Thread(target=write, args=(Session, path)).start()
