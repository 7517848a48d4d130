from tools.sessions import close_quietly

from app.database import SessionLocal
from app.models import Export


def export(export_id):
    session = SessionLocal()
    try:
        session.get(Export, export_id).run()
    finally:
        close_quietly(session)
