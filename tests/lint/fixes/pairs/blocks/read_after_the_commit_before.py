from sqlalchemy import func, select

from store.database import SessionLocal
from store.models import Item, check


def add(name):
    db = SessionLocal()
    try:
        item = Item(name=name)
        db.add(item)
        db.commit()
        return item.id
    finally:
        db.close()


def count():
    db = SessionLocal()
    try:
        query = select(func.count()).select_from(Item)
        return db.scalar(query)
    finally:
        db.close()


def make(name):
    db = SessionLocal()
    try:
        item = Item(name=name)
        db.add(item)
        db.commit()
        return item
    finally:
        db.close()


def work(name):
    db = SessionLocal()
    try:
        check(name)
        first = add(name)
        db.add(Item(name=f"{name} {count()}"))
        db.commit()
    finally:
        db.close()
    return first
