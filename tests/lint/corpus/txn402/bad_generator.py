import asyncio

from app.database import AsyncSessionLocal
from app.queries import load


async def load_all(ids):
    async with AsyncSessionLocal() as session:
        await asyncio.gather(*(load(session, each) for each in ids))  # TXN402
