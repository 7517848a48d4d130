from app.database import SessionLocal
from app.models import Account


def close_all():
    with SessionLocal() as session:
        ids = session.query(Account.id).all()
        session.commit()
        with session.begin():
            session.query(Account).filter(Account.id.in_(ids)).update({"closed": True})
