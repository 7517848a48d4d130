from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from shop.tasks import send


def place():
    job = send.delay(1)  # TXN503
    db.session.add(Item())
    row = Item(id=job.id)
    db.session.add(row)
    db.session.commit()
