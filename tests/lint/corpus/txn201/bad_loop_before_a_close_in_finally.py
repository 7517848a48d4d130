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
                session.flush()
            except Exception as error:  # TXN201
                print(name, error)
        session.commit()
    finally:
        session.close()
