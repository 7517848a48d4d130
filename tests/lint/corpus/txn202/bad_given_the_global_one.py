from app.database import SessionLocal
from app.models import Settings

session = SessionLocal()


def key_of(_session):
    settings = _session.query(Settings).one_or_none()
    if settings is None:
        settings = Settings()
        _session.add(settings)
        _session.commit()  # TXN202
    return settings.key


SECRET = key_of(session)
