import anyio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import load


async def load_all(session: AsyncSession, ids):
    async with anyio.create_task_group() as group:
        for each in ids:
            group.start_soon(load, session, each)  # TXN402
