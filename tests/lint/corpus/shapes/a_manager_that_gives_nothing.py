from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Quiet:
    def __enter__(self):
        print("begin")

    def __exit__(self, *failure):
        print("end")

def place():
    with Quiet() as nothing:
        print(nothing)
