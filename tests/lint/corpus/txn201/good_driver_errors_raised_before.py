from sqlalchemy.exc import DBAPIError

from app.log import log


def schedule_all(runs, session):
    for run in runs:
        try:
            run.state = "queued"
            session.flush()
        except DBAPIError:
            raise
        except Exception:
            log.exception("run %s", run.id)
