from flask_safesession import attempts
from sqlalchemy.orm import Session


def add_user(session: Session, user):
    session.add(user)
    session.commit()  # TXN102


def register(user):
    for attempt in attempts():
        with attempt as session:
            add_user(session, user)
