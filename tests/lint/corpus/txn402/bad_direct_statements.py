import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Order, User


async def counts(session: AsyncSession):
    return await asyncio.gather(  # TXN402
        session.scalar(select(User.count)),
        session.scalar(select(Order.count)),
    )
