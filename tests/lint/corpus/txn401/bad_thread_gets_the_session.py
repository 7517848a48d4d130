import threading

from sqlalchemy.orm import Session

from app.export import write


def export(session: Session, path: str):
    threading.Thread(target=write, args=(session, path)).start()  # TXN401
