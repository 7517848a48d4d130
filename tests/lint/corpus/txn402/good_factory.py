import asyncio

from sqlalchemy.ext.asyncio import async_sessionmaker

from app.engine import engine
from app.queries import load

Session = async_sessionmaker(engine)


async def run(ids):
    await asyncio.gather(*[load(Session, each) for each in ids])
