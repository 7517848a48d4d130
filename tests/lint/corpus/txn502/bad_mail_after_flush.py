from flask_mail import Mail

from app.extensions import db
from app.models import User

mail = Mail()


def register(email, message):
    db.session.add(User(email=email))
    db.session.flush()
    mail.send(message)  # TXN502
    db.session.commit()
