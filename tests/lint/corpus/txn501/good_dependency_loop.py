from app.database import get_db
from app.models import Row


def seed():
    for db in get_db():
        db.add(Row())
        db.commit()
