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
    db = next(get_db())  # TXN301
    return db.query(Item).count()
