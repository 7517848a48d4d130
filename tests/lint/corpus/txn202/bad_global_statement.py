from sqlalchemy.orm import scoped_session, sessionmaker

from app.models import Download

session = None


def init(engine):
    global session
    session = scoped_session(sessionmaker(bind=engine))()


def note(book_id):
    session.add(Download(book_id=book_id))
    session.commit()  # TXN202
