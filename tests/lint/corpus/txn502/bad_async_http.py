import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Feed


async def refresh(session: AsyncSession, feed_id: int):
    feed = await session.get(Feed, feed_id)
    async with httpx.AsyncClient() as client:
        answer = await client.get(feed.url)  # TXN502
    feed.text = answer.text
    await session.commit()
