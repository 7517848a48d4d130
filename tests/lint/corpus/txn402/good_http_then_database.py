import asyncio

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Page


async def fetch(session: AsyncSession, urls):
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*[client.get(url) for url in urls])
    for answer in answers:
        session.add(Page(text=answer.text))
    await session.commit()
