from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Repository:
    def __init__(self, session):
        self.session = session

    def save(self, item):
        self.session.add(item)
        self.session.commit()

def place():
    session = SessionLocal()
    try:
        Repository(session).save(Item())
    except ValueError:
        session.rollback()
        raise
    finally:
        session.close()
