from fastapi import APIRouter, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import Item

router = APIRouter()


@router.post("/items")
def create(name: str, db: Session = Depends(get_db)):
    db.add(Item(name=name))
    db.commit()
