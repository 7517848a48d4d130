from sqlalchemy.ext.asyncio import AsyncSession


async def touch(session: AsyncSession, rows, now):
    for row in rows:
        row.touched = now
        await session.commit()  # TXN501
