import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Page


async def fetch(session: AsyncSession, urls):
    async def one(url):
        session.add(Page(url=url))
        await session.flush()

    await asyncio.gather(*[one(url) for url in urls])  # TXN402
