from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def putter(session: Session):
    def put(item):
        session.add(item)
        session.flush()

    return put


def place(session: Session):
    put = putter(session)
    put(Item())
