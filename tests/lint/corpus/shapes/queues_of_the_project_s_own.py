from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from multiprocessing import Pool
from time import sleep

pool = Pool()

class Queue:
    @staticmethod
    def enqueue(number):
        return number

def place():
    db.session.add(Item())
    db.session.flush()
    pool.apply_async(print, (1,))
    number = Queue.enqueue(1)
    sleep(number)  # TXN502
    db.session.commit()
