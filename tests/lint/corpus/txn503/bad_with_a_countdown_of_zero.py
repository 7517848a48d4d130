from app.models import Order, db
from app.tasks import ship


def place(items):
    order = Order(items=items)
    db.session.add(order)
    db.session.flush()
    ship.apply_async(args=[order.id], countdown=0)  # TXN503
    db.session.commit()
