from contextlib import asynccontextmanager, contextmanager

from app.models import Item
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()
AsyncLocal = async_sessionmaker()


@contextmanager
def opened():
    session = SessionLocal()
    try:
        yield session
    finally:
        session.close()


class Store:
    def __init__(self, url):
        self.factory = sessionmaker(url)

    @contextmanager
    def session(self):
        with self.factory() as session:
            yield session

    def put(self, name):
        with self.session() as session, session.begin():
            session.add(Item(name=name))

    def put_by_hand(self, name):
        with self.session() as session:
            session.begin()
            try:
                session.add(Item(name=name))
                session.commit()
            except Exception:
                session.rollback()
                raise


def put(name):
    with opened() as session:
        with session.begin():
            session.add(Item(name=name))


@asynccontextmanager
async def opened_too():
    async with AsyncLocal() as session:
        yield session


async def put_too(name):
    async with opened_too() as session, session.begin():
        session.add(Item(name=name))
