from sqlalchemy.orm import Session

from app.models import Challenge


def expire(challenge_id, session: Session):
    challenge = session.query(Challenge).filter_by(id=challenge_id).first()
    if challenge:
        challenge.status = "expired"
        session.commit()  # TXN102
