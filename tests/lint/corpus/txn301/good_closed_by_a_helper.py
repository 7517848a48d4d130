from app.database import SessionLocal
from app.models import Export


def close_quietly(session):
    session.close()


def export(export_id):
    session = SessionLocal()
    try:
        session.get(Export, export_id).run()
    finally:
        close_quietly(session)
