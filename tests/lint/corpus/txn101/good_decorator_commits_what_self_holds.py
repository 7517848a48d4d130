"""A decorator commits the session of whatever repository it stands on."""

from functools import wraps

from fastapi import APIRouter, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import User

router = APIRouter()


def managed_tx_method(method):
    @wraps(method)
    def wrapper(self, *args, **kwargs):
        result = method(self, *args, **kwargs)
        self.db.commit()
        return result

    return wrapper


class UserRepository:
    def __init__(self, db: Session):
        self.db = db

    @managed_tx_method
    def create(self, name):
        self.db.add(User(name=name))


@router.post("/users")
def create_user(name: str, db: Session = Depends(get_db)):
    UserRepository(db).create(name)
