from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import threading

from flask import current_app

def show(items):
    application = current_app._get_current_object()
    print(application, items)

def start():
    items = Item.query.all()
    threading.Thread(target=show, args=(items,)).start()  # TXN401
