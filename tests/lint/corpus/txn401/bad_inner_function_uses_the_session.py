from threading import Thread

from sqlalchemy.orm import Session

from app.models import Log


def later(session: Session, text: str):
    def work():
        session.add(Log(text=text))
        session.commit()

    Thread(target=work).start()  # TXN401
