from app.extensions import db
from app.models import Organization
from app.tasks import subscribe


def create_org(name):
    org = Organization(name=name)
    db.session.add(org)
    db.session.commit()
    return org


def setup(form):
    create_org(form.name)
    subscribe.delay(form.data)
