from sqlalchemy.orm import sessionmaker

from app.engine import engine
from app.models import Activity

SessionLocal = sessionmaker(engine)


def create(*, db: SessionLocal, title: str):
    db.add(Activity(title=title))
    db.commit()  # TXN102
