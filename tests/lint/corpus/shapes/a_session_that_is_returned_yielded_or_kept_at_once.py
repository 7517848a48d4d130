from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def get_session():
    return SessionLocal()

def give_session():
    yield SessionLocal()

def give_other():
    given = yield SessionLocal()
    print(given)

sessions = []

def open_one():
    sessions.append(SessionLocal())
