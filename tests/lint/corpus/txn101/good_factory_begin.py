import click

from app.database import SessionLocal
from app.models import Item


@click.command()
def create():
    with SessionLocal.begin() as session:
        session.add(Item())
