from app.extensions import db
from app.models import Row


def load(rows):
    for index, row in enumerate(rows):
        db.session.add(Row(**row))
        if index % 1000 == 0:
            db.session.commit()
    db.session.commit()
