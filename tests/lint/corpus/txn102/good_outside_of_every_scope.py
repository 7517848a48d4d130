from flask_safesession import AppContextManager, current_scope, session_manager, transactional

from app import create_app
from app.database import SessionLocal
from app.extensions import db
from app.locks import LOCK
from app.models import Order


class Unit:
    def __enter__(self):
        self.session = SessionLocal()
        return self.session

    def __exit__(self, *error):
        self.session.close()


def place(number):
    with session_manager():
        db.session.add(Order(number=number))
    db.session.commit()


def note(number):
    with session_manager() as session, create_app().app_context():
        db.session.add(Order(number=number))
        db.session.commit()
        session.flush()


def remember(order):
    db.session.add(order)
    db.session.commit()


@AppContextManager()
def copy(order):
    db.session.merge(order)
    db.session.commit()


def save(order):
    db.session.add(order)
    if current_scope() is None:
        db.session.commit()


def with_a_choice(order, commit=False):
    db.session.add(order)
    if commit:
        db.session.commit()


def remember_elsewhere(order):
    with create_app().app_context():
        db.session.add(order)
        db.session.commit()


@transactional
def export_one(order):
    with AppContextManager():
        remember(order)
        db.session.commit()


def export(orders):
    with session_manager():
        for order in orders:
            save(order)
            remember_elsewhere(order)
            export_one(order)
            copy(order)
            with_a_choice(order)
            with AppContextManager():
                remember(order)
        with SessionLocal() as other, LOCK:
            other.commit()
        with Unit() as session:
            session.commit()


def audit(order, how):
    with session_manager(propagation="supports"):
        db.session.commit()
    with session_manager(propagation=how):
        db.session.commit()


@transactional(propagation="never")
def slow(order):
    db.session.commit()


def loop(order):
    db.session.commit()
    loop(order)
