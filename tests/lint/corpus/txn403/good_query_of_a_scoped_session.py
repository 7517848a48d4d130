"""'Model.query' of a plain scoped session works in any thread."""

import threading

from sqlalchemy import create_engine
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

Base = declarative_base()
Session = scoped_session(sessionmaker(bind=create_engine("sqlite://")))
Base.query = Session.query_property()


class Reminder(Base):
    __tablename__ = "reminder"


def send_due():
    for reminder in Reminder.query.all():
        print(reminder)


def start():
    threading.Thread(target=send_due).start()
