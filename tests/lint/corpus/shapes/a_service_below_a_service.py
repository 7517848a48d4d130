from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def store(session: Session):
    session.add(Item())
    session.commit()  # TXN102


def pass_on(session: Session):
    store(session)


def place():
    with SessionLocal() as session:
        pass_on(session)
