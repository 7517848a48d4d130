import asyncio

from app.database import AsyncSessionLocal
from app.models import Page


async def load(page_id):
    async with AsyncSessionLocal() as session:
        return await session.get(Page, page_id)


async def load_all(ids):
    return await asyncio.gather(*[load(each) for each in ids])
