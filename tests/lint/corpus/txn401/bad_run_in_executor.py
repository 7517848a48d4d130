import asyncio

from sqlalchemy.orm import Session

from app.reports import render


async def report(session: Session, name: str):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, render, session, name)  # TXN401
