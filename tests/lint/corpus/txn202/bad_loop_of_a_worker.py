from app.database import SessionLocal
from app.models import Tick

session = SessionLocal()


def tick(clock):
    while clock.running():
        session.add(Tick(at=clock.now()))
        session.commit()  # TXN202
