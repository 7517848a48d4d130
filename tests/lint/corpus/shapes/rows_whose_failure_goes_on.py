from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def load():
    return db.session.get(Item, 1)


def show(items):
    for item in items:
        try:
            load()
        except Exception:
            print("no item")


def show_all(session, items):
    try:
        session.flush()
    except Exception:  # TXN201
        print("no item")
    print(items.all())
    session.close_later()
