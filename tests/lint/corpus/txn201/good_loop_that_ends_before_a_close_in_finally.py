from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from app.models import Tag

SessionLocal = sessionmaker(create_engine("sqlite://"))


def store(names):
    session = SessionLocal()
    try:
        for name in names:
            try:
                session.add(Tag(name=name))
                session.commit()
            except ValueError:
                continue
            except Exception as error:
                print(name, error)
                break
    finally:
        session.close()


def store_until_one_is_there(names):
    session = SessionLocal()
    try:
        while names:
            try:
                session.add(Tag(name=names.pop()))
                session.commit()
            except Exception:
                return False
        return True
    finally:
        session.close()
