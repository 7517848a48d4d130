from fastapi import Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.models import User


def current_user(token: str, session: Session = Depends(get_db)):
    user = session.query(User).filter_by(token=token).one_or_none()
    session.commit()
    return user
