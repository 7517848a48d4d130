from sqlalchemy.orm import Session

from app.engine import engine
from app.models import User


def users(*, session: Session = Session(engine)):  # TXN302
    return session.query(User).all()
