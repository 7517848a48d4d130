import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Row


async def load(session: AsyncSession, ids):
    for each in ids:
        row = await session.get(Row, each)
        row.seen = True
        await asyncio.sleep(0)
    await session.commit()
