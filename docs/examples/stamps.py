"""Somebody else's package, which cannot be changed: it commits the session that it is given."""


def stamp(session, entry):
    session.add(entry)
    session.commit()
