from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def place():
    session = db.sessionmaker()  # TXN301
    session.add(Item())
    session.commit()

async def place_async():
    db.async_session.add(Item())
    await db.async_session.commit()
