from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from sqlalchemy.orm import object_session

def touch(item):
    object_session(item).flush()

class Shelf:
    def put(self, session, item):
        session.add(item)
        session.flush()

    @classmethod
    def put_all(cls, session, items):
        session.add_all(items)
        session.flush()

def keyword_only(*, session=None):
    session.flush()

def shelf_of(session):
    class Local:
        def put(self, item):
            session.add(item)

    return Local()

def place():
    with SessionLocal() as session:
        item = Item()
        Shelf().put(session, item)
        Shelf.put_all(session, [item])
        shelf_of(session).put(item)
        keyword_only()
        touch(item)
        session.commit()
