from flask_safesession import add_all_or_abort, safe_commit

from app import app
from app.extensions import db
from app.models import Customer, Order


@app.post("/customers")
def create_customer():
    db.session.add(Customer())
    safe_commit()
    return "", 201


@app.post("/orders")
def create_order():
    db.session.delete(db.session.get(Order, 1))
    add_all_or_abort([Order()])
    return "", 201
