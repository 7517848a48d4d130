from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def place(log):
    session = SessionLocal()  # TXN301
    try:
        session.add(Item())
        session.commit()
    finally:
        if log.is_open():
            log.write("done")
        else:
            session.close()


def place_and_tell(log):
    session = SessionLocal()  # TXN301
    session.add(Item())
    session.commit()
    try:
        log.write("done")
    finally:
        if log.is_open():
            log.finish()
    session.close()
