from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Command:
    def __call__(self):
        db.session.commit()

@app.post("/items")
def add_item():
    db.session.add(Item())  # TXN101
    return "", 201
