from flask import g
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.extensions import engine, finalizers
from app.models import Event

store = {}


def audit_session():
    session = store.get("audit")
    if session is None:
        session = Session(engine)
        store["audit"] = session
        finalizers.append(close_audit_session)
    return session


def close_audit_session():
    store.pop("audit").close()


def report_session():
    if "report" not in g:
        g.report = Session(engine)
    return g.report


def events():
    return audit_session().scalars(select(Event)).all()


def store_event(kind):
    session = audit_session()
    session.add(Event(kind))
    session.commit()


def report():
    session = report_session()
    return session.scalar(select(Event.id))
