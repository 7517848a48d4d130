import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids: list[int]):
    tasks = [load(session, each) for each in ids]
    return await asyncio.gather(*tasks)  # TXN402
