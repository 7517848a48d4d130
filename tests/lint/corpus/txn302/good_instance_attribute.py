from app.database import SessionLocal


class UnitOfWork:
    def __enter__(self):
        self.session = SessionLocal()
        return self.session

    def __exit__(self, *error):
        self.session.close()
