from flask_safesession.contrib.huey import init_huey

from app.extensions import app, db, huey
from app.models import Visit

init_huey(huey, app, transactional=True)


@huey.task()
def count_visit(path):
    db.session.add(Visit(path=path))
