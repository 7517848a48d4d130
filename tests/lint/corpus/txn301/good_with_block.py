from app.database import SessionLocal
from app.models import Plugin


def list_plugins():
    with SessionLocal() as session:
        return [plugin.title for plugin in session.query(Plugin)]
