from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from contextlib import contextmanager


@contextmanager
def unit():
    yield db.session
    db.session.commit()


@app.post("/items")
def add_item():
    with unit() as session:
        session.add(Item())
    return "", 201
