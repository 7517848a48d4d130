import click
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import User


@click.command()
def invite(email):
    db.session.add(User(email=email))
    try:
        db.session.commit()
    except IntegrityError:  # TXN201
        click.echo("User already exists")
