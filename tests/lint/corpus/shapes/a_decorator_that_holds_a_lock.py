from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import threading

lock = threading.Lock()

def locked(function):
    def wrapper(*args):
        with lock, open("log") as log:
            return function(*args)
    return wrapper

def healing(function):
    def wrapper(*args):
        try:
            return function(*args)
        except ValueError:
            db.session.flush()
            raise
    return wrapper

@app.post("/locked")
@locked
@healing
def add_item():
    db.session.add(Item())  # TXN101
    return "", 201
