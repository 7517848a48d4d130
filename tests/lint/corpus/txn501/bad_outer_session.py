from app.database import SessionLocal
from app.models import Row


def load(lines):
    with SessionLocal() as session:
        for line in lines:
            session.add(Row(line=line))
            session.commit()  # TXN501
