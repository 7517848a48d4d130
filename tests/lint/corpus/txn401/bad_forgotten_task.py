import asyncio

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import get_db
from app.mail import notify

router = APIRouter()


@router.post("/orders")
async def order(session: AsyncSession = Depends(get_db)):
    asyncio.create_task(notify(session))  # TXN401
    return "ok"
