from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def count():
    return SessionLocal().scalar(1)  # TXN301

def forget():
    SessionLocal().add(Item())  # TXN301

def close_nobody():
    SessionLocal().close()

def store(session, item):
    session.add(item)
    session.flush()

def hand_over():
    store(SessionLocal(), Item())  # TXN301
    print(SessionLocal())

def closing(session):
    session.close()

def hand_over_and_close():
    closing(SessionLocal())

class Keeper:
    def __init__(self, session):
        self.session = session

def kept():
    Keeper(SessionLocal())

def each(session):
    yield session

def lazily():
    each(SessionLocal())

def anything(value):
    return value

def plain():
    anything(SessionLocal())

def with_default(first, session=None):
    session.flush()

def hand_over_unpacked(arguments):
    with_default(*arguments, SessionLocal())
