import asyncio

from app.database import AsyncSessionLocal
from app.queries import load


async def run(ids):
    for each in ids:
        session = AsyncSessionLocal()
        asyncio.create_task(load(session, each))
