from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.engine import async_engine, engine
from app.models import Line


def plain(rows):
    with Session(engine) as session:
        session.begin()
        session.add_all(rows)
        session.begin()  # TXN103


def nested(rows):
    with Session(engine) as session:
        with session.begin():
            session.add(Line())
            with session.begin():  # TXN103
                session.add_all(rows)


async def awaited(rows):
    async with AsyncSession(async_engine) as session:
        await session.begin()
        session.add_all(rows)
        await session.begin()  # TXN103
