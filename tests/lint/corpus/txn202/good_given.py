def renounce(*, db_session, role):
    db_session.add(role)
    db_session.commit()
