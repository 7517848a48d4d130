"""Each try rolls back first, so that none sees the failure of the one before."""

from time import sleep

from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Text(db.Model):
    content = db.Column(db.String)

    @classmethod
    def find(cls, content):
        for _ in range(10):
            try:
                db.session.rollback()
                return cls.query.filter_by(content=content).one()
            except Exception:
                sleep(0.3)
                continue
