"""The handler ends the process."""

from traitlets.config import Application

from app import db
from app.models import Hub


class HubApp(Application):
    def launch(self):
        try:
            db.session.add(Hub())
            db.session.commit()
        except Exception:
            self.log.exception("cannot start")
            self.exit(1)
