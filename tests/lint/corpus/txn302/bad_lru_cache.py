from functools import lru_cache

from app.database import SessionLocal


@lru_cache
def get_session():
    return SessionLocal()  # TXN302
