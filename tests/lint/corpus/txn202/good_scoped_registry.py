from sqlalchemy.orm import scoped_session, sessionmaker

from app.engine import engine
from app.models import Author

session = scoped_session(sessionmaker(engine))


def prepare(name):
    session.add(Author(name=name))
    session.commit()
