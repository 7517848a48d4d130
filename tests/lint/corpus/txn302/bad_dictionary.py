from app.database import SessionLocal

_sessions = {}


def session_of(tenant):
    if tenant not in _sessions:
        _sessions[tenant] = SessionLocal()  # TXN302
    return _sessions[tenant]
