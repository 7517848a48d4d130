from app.slack import slack

from app.middleware import db_middleware


@slack.action("remind", middleware=[db_middleware])
def remind(ack, db_session):
    ack()
    db_session.add(ack.reminder)
    db_session.commit()
