from sqlalchemy.orm import sessionmaker

from app.models import Item

factory = sessionmaker()
session = factory()

with factory() as other:
    session.add(Item(other.get(Item, 1)))
    session.commit()  # TXN202
