from contextlib import ExitStack

from app.database import SessionLocal
from app.models import Line


def read_all():
    with ExitStack() as stack:
        session = SessionLocal()
        stack.callback(session.close)
        return session.query(Line).all()


def lines(request):
    session = SessionLocal()
    request.addfinalizer(session.close)
    return session.query(Line).all()
