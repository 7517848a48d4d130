from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def store(first, session):
    session.add(Item())
    session.flush()

def place(arguments):
    session = SessionLocal()  # TXN301
    store(*arguments)
    store(1, session=session)
    session.close()
