from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from warehouse import db as stock
from warehouse.database import AsyncSession, Session as StockSession, SessionDep, get_session
from warehouse.models import database

class Box(stock.Model):
    pass

class Crate(database.Model):
    pass

def place():
    session = StockSession()  # TXN301
    session.add(Box())
    session.commit()

def place_more():
    session = get_session()
    print(Box.query.all(), session.get(Crate, 1))
    session.add(Crate())
    session.commit()

def place_other(session: SessionDep, other: AsyncSession):
    session.add(Crate())
    other.add(Crate())
