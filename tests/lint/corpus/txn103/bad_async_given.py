from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Seat


async def reserve(session: AsyncSession, seat: Seat):
    async with session.begin():  # TXN103
        seat.taken = True
