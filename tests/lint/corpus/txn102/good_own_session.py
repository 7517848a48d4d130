from app.database import SessionLocal
from app.models import Source


def delete(source_id):
    with SessionLocal() as session:
        session.delete(session.get(Source, source_id))
        session.commit()
