from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from app.models import Book


def new_session(url):
    return sessionmaker(bind=create_engine(url))()


def count(url):
    session = new_session(url)  # TXN301
    return session.query(Book).count()
