from sqlalchemy.orm import Session


def load(session: Session, rows):
    for row in rows:
        with session.begin_nested():
            session.add(row)
    session.flush()
