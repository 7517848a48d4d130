from app.database import SessionLocal
from app.models import Report


def report(report_id):
    session = None
    try:
        session = SessionLocal()
        return session.get(Report, report_id).text
    finally:
        if session is not None:
            session.close()
