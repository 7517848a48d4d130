from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def place(items):
    for number, item in enumerate(items):
        db.session.add(item)
        if item.id:
            if number % 100 == 0:
                db.session.commit()

def save(session):
    session.flush()

def place_each(items):
    for item in items:
        db.session.add(item)
        save(db.session)
        if item.id:
            db.session.commit()  # TXN501
            continue
        print(item)
