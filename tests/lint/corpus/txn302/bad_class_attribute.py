from app.database import SessionLocal
from app.models import User


class Users:
    session = SessionLocal()  # TXN302

    def all(self):
        return self.session.query(User).all()
