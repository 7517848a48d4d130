from sqlalchemy.orm import Session


def note_all(session: Session, roles):
    for role in roles:
        role.activity += 1
        session.commit()  # TXN501
