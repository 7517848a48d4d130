import asyncio

from app.database import AsyncSessionLocal
from app.queries import orders, users


async def dashboard():
    async with AsyncSessionLocal() as one, AsyncSessionLocal() as other:
        return await asyncio.gather(users(one), orders(other))
