from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Repository:
    def __init__(self, session: Session):
        self.session = session

    def save(self, item):
        self.session.add(item)
        self.session.flush()


def place(handle):
    Repository(handle).save(Item())
