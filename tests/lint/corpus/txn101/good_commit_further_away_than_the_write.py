"""The commit is one call further away than the write."""

from app import app, db
from app.models import Source


def commit():
    db.session.commit()


def store(source):
    db.session.add(source)
    commit()


def create_source(label):
    store(Source(label=label))


def add_default(label):
    create_source(label)


@app.cli.command("add-default")
def add_default_command():
    add_default("default")
