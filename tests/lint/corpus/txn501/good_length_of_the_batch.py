from app.extensions import db


def load(rows):
    pending = []
    for row in rows:
        pending.append(row)
        if len(pending) >= 100:
            db.session.add_all(pending)
            db.session.commit()
            pending = []
