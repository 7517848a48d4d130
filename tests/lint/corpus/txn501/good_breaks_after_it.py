from app.extensions import db


def take(slots, user):
    for slot in slots:
        if slot.free:
            slot.user = user
            db.session.commit()
            break
