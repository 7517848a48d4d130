from app.database import SessionLocal
from app.models import Plugin


def list_plugins():
    session = SessionLocal()  # TXN301
    for plugin in session.query(Plugin).all():
        print(plugin.title)
