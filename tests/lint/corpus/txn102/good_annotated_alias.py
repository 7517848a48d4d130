from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import Item

DbSession = Annotated[Session, Depends(get_db)]
router = APIRouter()


def helper(db: DbSession):
    db.add(Item())
    db.commit()
