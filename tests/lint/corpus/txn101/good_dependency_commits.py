from fastapi import APIRouter, Depends
from sqlalchemy.orm import Session

from app.database import SessionLocal
from app.models import Item

router = APIRouter()


def get_db():
    with SessionLocal() as session:
        yield session
        session.commit()


@router.post("/items")
def create(db: Session = Depends(get_db)):
    db.add(Item())
