from sqlalchemy.orm import Session

from app.models import Row


def import_row(session: Session, row: dict):
    savepoint = session.begin_nested()
    session.add(Row(**row))
    savepoint.commit()
