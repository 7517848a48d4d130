from app.database import SessionLocal


class UnitOfWork:
    def __enter__(self):
        self.session = SessionLocal()
        return self

    def __exit__(self, *error):
        self.session.close()
