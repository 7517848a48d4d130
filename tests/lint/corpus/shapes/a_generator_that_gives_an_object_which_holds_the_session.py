from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from contextlib import contextmanager

class Unit:
    def __init__(self, session):
        self.session = session

@contextmanager
def unit():
    session = SessionLocal()
    try:
        yield Unit(session)
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.close()

@contextmanager
def nothing():
    yield

def place():
    with unit() as mine, nothing() as other:
        mine.session.add(Item())
        print(other)
