from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


def names():
    query = db.session.query(Item)
    first = query.filter_by(id=1).first()
    everything = Item.query.all()
    number = query.count()
    rows = db.session.execute(query).scalars()
    return first, everything, number, rows.unique().partitions(), [each.id for each in rows.all()]
