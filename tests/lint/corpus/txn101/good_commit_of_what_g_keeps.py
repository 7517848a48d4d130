from flask import Flask, g, request
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from shop.models import Order

app = Flask(__name__)
SessionLocal = sessionmaker(create_engine("sqlite://"))


def get_session():
    if "session" not in g:
        g.session = SessionLocal()
    return g.session


@app.teardown_appcontext
def finish(error):
    session = g.pop("session", None)
    if session is None:
        return
    if error is None:
        session.commit()
    session.close()


@app.post("/orders")
def add_order():
    get_session().add(Order(number=request.json["number"]))
    return {"status": "accepted"}
