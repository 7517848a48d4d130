from app.database import SessionLocal
from app.models import Grant

session = SessionLocal()


class Backend:
    def __init__(self, model, session):
        self.model = model
        self.session = session

    def store(self, token):
        self.session.add(self.model(token=token))
        self.session.commit()  # TXN202


backend = Backend(Grant, session)
