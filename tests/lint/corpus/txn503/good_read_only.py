from app.extensions import db
from app.models import User
from app.tasks import send_activation


def resend(email):
    user = db.session.execute(db.select(User).filter_by(email=email)).scalar_one()
    send_activation.delay(email=user.email, token=user.token())
