from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from typing import Generator

from fastapi import APIRouter, Depends

router = APIRouter()


def get_numbers():
    yield 1


def get_made():
    return SessionLocal()


@router.post("/a")
def a(numbers=Depends(get_numbers), other=Depends(), made=Depends(get_made)):
    numbers.add(1)
    other.add(1)
    made.add(Item())
    made.commit()


def b(session: Generator[Session, None, None], number: Generator[int, None, None]):
    session.add(Item())
    number.add(Item())
