import click

from app.extensions import db
from app.models import Role


@click.command()
def seed():
    db.session.add_all([Role(name="admin"), Role(name="reader")])  # TXN101
    click.echo("done")
