from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import Seat

Db = Annotated[Session, Depends(get_db)]
router = APIRouter()


@router.get("/seats")
def seats(db: Db):
    with db:  # TXN103
        return db.query(Seat).count()
