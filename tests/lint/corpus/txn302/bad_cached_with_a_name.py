from functools import cache

from app.database import SessionLocal


@cache
def get_session(tenant):
    session = SessionLocal()  # TXN302
    session.info["tenant"] = tenant
    return session
