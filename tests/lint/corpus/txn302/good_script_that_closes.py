from app.database import SessionLocal
from app.models import User

session = SessionLocal()
print(session.query(User).count())
session.close()
