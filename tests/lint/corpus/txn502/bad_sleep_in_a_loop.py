from time import sleep

from sqlalchemy.orm import Session

from app.models import Challenge


def wait_for(session: Session, challenge_id):
    for _ in range(300):
        session.expire_all()
        challenge = session.query(Challenge).filter_by(id=challenge_id).first()
        if challenge.approved:
            return True
        sleep(1)  # TXN502
    challenge.expired = True
    session.commit()
    return False
