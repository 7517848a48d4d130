from sqlalchemy.orm import sessionmaker

from app.models import Role


def seed(engine):
    factory = sessionmaker(bind=engine)
    session = factory()  # TXN301
    session.add(Role(name="admin"))
    session.commit()
