from sqlalchemy import orm

from app.engine import engine
from app.models import Item


def rename(item_id, name):
    session = orm.Session(bind=engine)  # TXN301
    try:
        session.get(Item, item_id).name = name
        session.commit()
    except Exception:
        session.rollback()
        raise
