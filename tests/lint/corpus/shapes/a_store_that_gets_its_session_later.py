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
    def bind(self, session: Session):
        self.session = session

    def put(self, item):
        self.session.add(item)
        self.session.commit()

def place():
    store = Store()
    store.bind(session)
    store.put(Item())

def place_at_once():
    Store().put(Item())
