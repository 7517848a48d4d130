import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import users


async def warm(session: AsyncSession):
    task = asyncio.create_task(users(session))
    return await task
