from fastapi import Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import User


def users(db: Session = Depends(get_db)):
    return db.query(User).all()
