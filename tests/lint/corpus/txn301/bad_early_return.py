from sqlalchemy.orm import sessionmaker

from app.engine import engine
from app.models import User

Session = sessionmaker(bind=engine)


def find_email(user_id):
    session = Session()  # TXN301
    user = session.get(User, user_id)
    if user is None:
        return None
    email = user.email
    session.close()
    return email
