from app.database import AsyncSessionLocal
from app.models import Message


async def unread(user_id):
    async with AsyncSessionLocal() as session:
        return await session.scalar(Message.unread(user_id))
