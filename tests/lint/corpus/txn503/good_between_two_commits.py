from app.extensions import db
from app.models import Result
from app.tasks import check_alerts


def store(result: Result, queries):
    db.session.add(result)
    db.session.commit()
    for query in queries:
        check_alerts.delay(query)
    result_id = result.id
    db.session.commit()
    return result_id
