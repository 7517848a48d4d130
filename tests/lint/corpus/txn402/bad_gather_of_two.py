import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import orders, users


async def dashboard(session: AsyncSession):
    return await asyncio.gather(users(session), orders(session))  # TXN402
