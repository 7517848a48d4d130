from threading import Thread

from flask_safesession import handoff
from sqlalchemy.orm import sessionmaker

from app.reports import Report

SessionLocal = sessionmaker()


def write(session):
    with session:
        session.add(Report())
        session.commit()


def start_report():
    session = SessionLocal()
    handoff(session)
    Thread(target=write, args=(session,)).start()
