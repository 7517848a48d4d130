from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


session = SessionLocal()  # TXN302

class Store:
    def __init__(self, session):
        self.session = session

    def place(self):
        self.session.add(Item())
        self.session.commit()  # TXN202

store = Store(session)
