from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def place(other: Session):
    try:
        db.session.add(Item())
        db.session.commit()
    except Exception:  # TXN201
        print("not stored")
    other.flush()
    db.session.refresh(Item())
