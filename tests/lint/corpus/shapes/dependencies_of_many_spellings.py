from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from typing import Annotated, Generator, Optional, Union

from fastapi import APIRouter, Depends
from sqlalchemy.orm import scoped_session
from warehouse.database import get_session

router = APIRouter()

def get_db() -> Generator[Session, None, None]:
    with SessionLocal() as session:
        yield session

def get_nothing():
    yield 1

def get_made():
    return SessionLocal()

@router.post("/a")
def a(session=Depends(get_db)):
    session.add(Item())  # TXN101

@router.post("/b")
def b(session: Annotated[Optional[Session], Depends(get_db)]):
    session.add(Item())  # TXN101

@router.post("/c")
def c(session: Annotated[Union[Session, None], "the session"]):
    session.add(Item())

@router.post("/d")
def d(session=Depends(get_session)):
    session.add(Item())  # TXN101

@router.post("/e")
def e(numbers=Depends(get_nothing), other=Depends(), more: "list[Item]" = (), rest: "list[int]" = ()):
    print(numbers, other, more, rest)

@router.post("/f")
def f(session: Generator[Session, None, None], registry: scoped_session[Session], number: dict[str, int]):
    registry.add(Item())
