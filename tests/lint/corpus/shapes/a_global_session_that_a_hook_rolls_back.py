from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


session = SessionLocal()  # TXN302
other = SessionLocal()  # TXN302

@app.teardown_request
def roll_back(failure):
    session.rollback()
    other.execute("SELECT 1")

def place():
    session.add(Item())
    session.commit()
