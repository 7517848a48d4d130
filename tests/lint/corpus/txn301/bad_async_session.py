from sqlalchemy.ext.asyncio import AsyncSession

from app.engine import engine
from app.models import Message


async def unread(user_id):
    session = AsyncSession(engine)  # TXN301
    return await session.scalar(Message.unread(user_id))
