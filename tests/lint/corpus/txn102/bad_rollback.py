from sqlalchemy.exc import IntegrityError

from app.users import create, get_by_email


def get_or_create(*, db_session, email):
    user = get_by_email(db_session=db_session, email=email)
    if user is None:
        try:
            user = create(db_session=db_session, email=email)
        except IntegrityError:
            db_session.rollback()  # TXN102
    return user
