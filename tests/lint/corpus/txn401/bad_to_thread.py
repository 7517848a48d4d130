import asyncio

from sqlalchemy.orm import Session

from app.reports import render


async def report(session: Session, name: str):
    return await asyncio.to_thread(render, session, name)  # TXN401
