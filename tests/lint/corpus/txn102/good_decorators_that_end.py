from sqlalchemy.orm import Session

from app.database import SessionLocal
from app.engine import connect
from app.models import Order


class Unit:
    def __init__(self, function):
        self.function = function

    def __call__(self, session, order):
        self.function(session, order)
        self.end.commit()


def connected(function):
    def call(*arguments):
        connection = connect()
        function(*arguments)
        connection.commit()

    return call


def fresh(function):
    def call(order):
        with SessionLocal() as session:
            return function(session, order)

    return call


@Unit
def close(session: Session, order: Order):
    order.state = "closed"
    session.rollback()


@connected
def reopen(session: Session, order: Order):
    order.state = "open"
    session.commit()


@fresh
def repeat(session: Session, order: Order):
    order.count += 1
    session.commit()
