from sqlalchemy.orm import scoped_session, sessionmaker

from app.models import Library


def uuid_of(connection):
    factory = scoped_session(sessionmaker(bind=connection))
    session = factory()  # TXN301
    return session.query(Library).one().uuid
