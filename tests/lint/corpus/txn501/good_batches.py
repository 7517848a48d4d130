from app.extensions import db


def load(source):
    for batch in source.batches():
        db.session.add_all(batch)
        db.session.commit()
