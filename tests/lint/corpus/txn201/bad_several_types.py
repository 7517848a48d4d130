from sqlalchemy.exc import InvalidRequestError, OperationalError

from app.store import session_registry
from sqlalchemy.orm import scoped_session, sessionmaker

session = scoped_session(sessionmaker(bind=session_registry))


def save_settings(user, settings):
    user.settings = settings
    try:
        session.commit()
    except (InvalidRequestError, OperationalError):  # TXN201
        return "Invalid request", 400
    return ""
