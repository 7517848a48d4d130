import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids):
    return await asyncio.gather(*[asyncio.create_task(load(session, each)) for each in ids])  # TXN402
