from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def names():
    return db.session.scalars("SELECT name FROM item").all()

def show(items):
    try:
        items = names()
    except Exception:
        print("no names")
    db.session.expire_all()
    print(items)
