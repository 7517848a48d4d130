from app.extensions import db
from app.models import User


def load(reader):
    for index, line in enumerate(reader):
        if not line:
            continue
        db.session.add(User(line=index))
        db.session.commit()  # TXN501
