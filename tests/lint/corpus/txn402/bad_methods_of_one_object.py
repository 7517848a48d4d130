import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Order, User


class Dashboard:
    def __init__(self, session: AsyncSession):
        self.session = session

    async def users(self):
        return (await self.session.scalars(select(User))).all()

    async def orders(self):
        return (await self.session.scalars(select(Order))).all()

    async def load(self):
        return await asyncio.gather(self.users(), self.orders())  # TXN402
