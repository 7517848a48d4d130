from sqlalchemy import text
from sqlalchemy.orm import Session


def is_alive(session: Session) -> bool:
    try:
        session.execute(text("SELECT 1"))
        return True
    except Exception:  # TXN201
        return False
