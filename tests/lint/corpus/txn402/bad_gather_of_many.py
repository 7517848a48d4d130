import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids: list[int]):
    return await asyncio.gather(*[load(session, each) for each in ids])  # TXN402
