from threading import Thread

from app.database import SessionLocal
from app.models import Log


def later(text):
    def work():
        with SessionLocal() as session:
            session.add(Log(text=text))
            session.commit()

    Thread(target=work).start()
