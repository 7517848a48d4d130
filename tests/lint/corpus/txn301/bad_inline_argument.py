from app.database import SessionLocal
from app.organizations import Organization


def all_organizations(db_session):
    return db_session.query(Organization).all()


def names():
    return [each.name for each in all_organizations(db_session=SessionLocal())]  # TXN301
