import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids: list[int]):
    tasks = []
    for each in ids:
        tasks.append(load(session=session, key=each))
    return await asyncio.gather(*tasks, return_exceptions=True)  # TXN402
