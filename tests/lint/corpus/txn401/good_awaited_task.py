import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.mail import notify


async def order(session: AsyncSession):
    task = asyncio.create_task(notify(session))
    await task
