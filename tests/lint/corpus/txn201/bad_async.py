import logging

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Event


async def record(session: AsyncSession, kind: str):
    try:
        session.add(Event(kind=kind))
        await session.commit()
    except Exception:  # TXN201
        logging.exception("event was not recorded")
