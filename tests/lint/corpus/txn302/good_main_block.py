from app.database import SessionLocal
from app.models import User

if __name__ == "__main__":
    session = SessionLocal()
    print(session.query(User).count())
