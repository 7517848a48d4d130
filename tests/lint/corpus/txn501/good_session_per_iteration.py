from app.database import SessionLocal
from app.models import Row


def load(lines):
    for line in lines:
        with SessionLocal() as session:
            session.add(Row(line=line))
            session.commit()
