from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import asyncio

import requests

async def slow():
    await asyncio.sleep(5)

def place():
    session = SessionLocal()
    with session:
        session.add(Item())
        session.flush()
        with session.begin_nested():
            requests.get("https://shop.example")  # TXN502
        session.commit()

async def place_async():
    db.session.add(Item())
    db.session.flush()
    await slow()  # TXN502
    db.session.commit()
