from app.database import SessionLocal
from app.factory import app
from app.models import Author

session = SessionLocal()


@app.teardown_request
def tidy(error):
    session.rollback()


def prepare(name):
    session.add(Author(name=name))
    session.commit()
