from sqlalchemy import event
from sqlalchemy.orm import Session

from app.models import Rating


@event.listens_for(Rating, "after_insert")
def update_average(mapper, connection, target):
    session = Session(bind=connection)  # TXN301
    session.execute(target.average_statement())
    session.commit()
