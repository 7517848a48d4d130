import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.api import weather
from app.queries import users


async def dashboard(session: AsyncSession):
    return await asyncio.gather(users(session), weather())
