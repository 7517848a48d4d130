from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import sys

def in_a_condition(items):
    session = SessionLocal()  # TXN301
    if sys.exit(1):
        session.add(items)
    session.close()

def in_a_return():
    session = SessionLocal()  # TXN301
    return sys.exit(1)

def in_a_loop():
    session = SessionLocal()  # TXN301
    for item in sys.exit(1):
        session.add(item)

def in_a_block():
    session = SessionLocal()  # TXN301
    with open(sys.exit(1)) as file:
        print(file)
    session.close()
