from flask_safesession import attempts


def register(user):
    for attempt in attempts():
        with attempt as session:
            session.add(user)
            session.commit()  # TXN102
