import click

from app.extensions import db
from app.models import Item


@click.command()
def preview():
    db.session.add(Item())
    click.echo(db.session.query(Item).count())
    db.session.rollback()
