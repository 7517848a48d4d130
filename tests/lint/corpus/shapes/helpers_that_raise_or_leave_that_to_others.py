from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Base:
    def fail(self):
        raise NotImplementedError

def one(text):
    return two(text)

def two(text):
    return three(text)

def three(text):
    return four(text)

def four(text):
    raise ValueError(text)

def place(base: Base):
    try:
        db.session.add(Item())
        db.session.commit()
    except Exception:  # TXN201
        base.fail()

def place_with_helper():
    try:
        db.session.add(Item())
        db.session.commit()
    except Exception:  # TXN201
        one("no")
