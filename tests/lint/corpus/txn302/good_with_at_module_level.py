from app.database import SessionLocal
from app.models import User

with SessionLocal() as session:
    print(session.query(User).count())
