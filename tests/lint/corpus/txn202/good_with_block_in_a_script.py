from sqlalchemy.orm import sessionmaker

from app.models import Item

factory = sessionmaker()

if __name__ == "__main__":
    with factory() as session:
        session.add(Item())
        session.commit()
