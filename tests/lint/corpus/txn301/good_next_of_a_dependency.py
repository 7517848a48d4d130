from sqlalchemy.orm import sessionmaker

from app.models import Item

SessionLocal = sessionmaker()


def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


def job():
    db = next(get_db())
    try:
        return db.query(Item).count()
    finally:
        db.close()


def kept():
    opened = get_db()
    db = next(opened)
    try:
        return db.query(Item).count()
    finally:
        opened.close()
