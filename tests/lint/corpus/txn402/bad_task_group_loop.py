import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids: list[int]):
    async with asyncio.TaskGroup() as group:
        for each in ids:
            group.create_task(load(session, each))  # TXN402
