from sqlalchemy.orm import Session

from app.models import Report


def render(session: Session, report_id: int) -> str:
    text = session.get(Report, report_id).text
    session.close()  # TXN102
    return text
