from app.extensions import db
from app.models import Row
from app.tools import chunks


def load(rows):
    for chunk in chunks(rows, 500):
        db.session.add_all(Row(**row) for row in chunk)
        db.session.commit()
