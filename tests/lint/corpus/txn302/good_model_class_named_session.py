from app.extensions import db


class Session(db.Model):
    __tablename__ = "session"


EMPTY = Session()
