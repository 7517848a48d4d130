from app.models import Item
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

engine = create_engine("sqlite://")
SessionLocal = sessionmaker(engine)
AsyncLocal = async_sessionmaker()


def closed_after_the_block(name):
    session = Session(engine)
    with session.begin():
        session.add(Item(name=name))
    session.close()


def never_used_after_the_block(name):
    session = SessionLocal()
    with session.begin():
        session.add(Item(name=name))


def two_blocks(name):
    session = SessionLocal()
    with session.begin():
        item = Item(name=name)
        session.add(item)
    with session.begin():
        session.delete(item)


async def in_a_coroutine(name):
    session = AsyncLocal()
    async with session.begin():
        session.add(Item(name=name))
