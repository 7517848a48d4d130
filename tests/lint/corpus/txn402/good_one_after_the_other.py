from sqlalchemy.ext.asyncio import AsyncSession

from app.queries import orders, users


async def dashboard(session: AsyncSession):
    return await users(session), await orders(session)
