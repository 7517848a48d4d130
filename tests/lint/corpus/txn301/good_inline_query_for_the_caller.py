from app.database import SessionLocal
from app.models import Page


def pages():
    return SessionLocal().query(Page).filter(Page.draft)


def connection():
    return SessionLocal().connection()
