from app.database import SessionLocal
from app.models import Payment


def pay(payment_id):
    session = SessionLocal()  # TXN301
    try:
        session.get(Payment, payment_id).done = True
        session.commit()
    except ValueError:
        return False
    session.close()
    return True
