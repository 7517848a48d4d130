from sqlalchemy import func

from app.database import SessionLocal
from app.models import Page


def pages():
    return SessionLocal().query(Page).filter(Page.draft)


def counted():
    return SessionLocal().query(func.count(Page.id))


def connection():
    return SessionLocal().connection()
