from app.extensions import db
from app.models import User
from app.tasks import welcome


def register(email):
    user = User(email=email)
    db.session.add(user)
    welcome.apply_async(args=[email])  # TXN503
    db.session.commit()
