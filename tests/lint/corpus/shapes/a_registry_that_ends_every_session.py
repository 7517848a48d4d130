from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from sqlalchemy.orm import scoped_session

registry = scoped_session(SessionLocal)

def place():
    session = SessionLocal()  # TXN301
    session.add(Item())
    registry.remove()
