from sqlalchemy.orm import sessionmaker

from app.engine import engine
from app.models import Line

Session = sessionmaker(engine)


def copy(rows):
    with Session() as session:
        session.execute(Line.lock())
        with session.begin():  # TXN103
            session.add_all(rows)
