from app.database import SessionLocal
from app.models import Invoice


def mark_paid(invoice_id):
    db = SessionLocal()  # TXN301
    invoice = db.get(Invoice, invoice_id)
    invoice.paid = True
    db.commit()
    db.close()
