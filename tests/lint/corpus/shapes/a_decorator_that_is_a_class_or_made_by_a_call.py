from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from framework import make

class Committing:
    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        self.function(*args)
        db.session.commit()

@Committing
def store():
    db.session.add(Item())

transactional = make()

@app.post("/items")
@transactional
def add_item():
    db.session.add(Item())

def timed(function):
    def wrapper(*args):
        return function(*args)
    return wrapper

def in_session(function):
    def wrapper(*args):
        with SessionLocal() as session:
            return function(session, *args)
    return wrapper

@in_session
def count(session):
    session.add(Item())

@app.post("/timed")
@timed
def timed_item():
    db.session.add(Item())  # TXN101
