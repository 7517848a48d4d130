from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import get_db
from app.models import Seat

router = APIRouter()


@router.post("/seats")
async def reserve(session: AsyncSession = Depends(get_db)):
    async with session.begin():  # TXN103
        session.add(Seat())
