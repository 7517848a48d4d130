from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from concurrent.futures import ThreadPoolExecutor

from flask_safesession import on_commit
from framework import signals

pool = ThreadPoolExecutor()

def plain(number):
    return number

class Mail:
    def delay(self, number):
        return number

mail = Mail()

def place():
    item = Item()
    db.session.add(item)
    db.session.flush()
    pool.submit(plain, 1)
    signals.item_added.send(item)
    mail.delay(1)
    plain.apply_async(countdown=10)
    db.session.commit()
