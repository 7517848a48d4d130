from app.models import ChatSession


def finish(session: ChatSession):
    session.commit()
    session.close()
