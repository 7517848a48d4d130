from app.database import SessionLocal


def archive(order, session=None):
    own = session or SessionLocal()
    order.archived = True
    own.add(order)
    own.commit()
