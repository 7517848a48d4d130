from app.database import SessionLocal
from app.models import Task


def run(task_id, session=None):
    owned = False
    if session is None:
        session = SessionLocal()
        owned = True
    try:
        session.get(Task, task_id).run()
    finally:
        if owned:
            session.close()
