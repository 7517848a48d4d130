from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import threading

class Job:
    def __call__(self):
        db.session.add(Item())
        db.session.commit()

class Idle:
    pass

def start():
    threading.Thread(target=Job).start()  # TXN403
    threading.Thread(target=Idle).start()
