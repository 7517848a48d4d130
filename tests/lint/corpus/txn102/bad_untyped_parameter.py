from datetime import datetime


def renounce(*, db_session, role):
    role.renounced_at = datetime.now()
    db_session.add(role)
    db_session.commit()  # TXN102
    return role
