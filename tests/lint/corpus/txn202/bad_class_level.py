from app.database import SessionLocal
from app.models import Entry


class Journal:
    session = SessionLocal()

    def write(self, text):
        self.session.add(Entry(text=text))
        self.session.commit()  # TXN202
