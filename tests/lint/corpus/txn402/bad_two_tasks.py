import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import orders, users


async def warm(session: AsyncSession):
    first = asyncio.create_task(users(session))
    second = asyncio.create_task(orders(session))  # TXN402
    await first
    await second
