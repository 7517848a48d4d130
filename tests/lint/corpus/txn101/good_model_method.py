from app.extensions import db


class Query(db.Model):
    __tablename__ = "query"

    def archive(self):
        db.session.add(self)
        self.archived = True
