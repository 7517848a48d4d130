import click

from app.database import SessionLocal
from app.models import Country


@click.command()
def countries():
    with SessionLocal() as session:
        session.add(Country(code="AT"))  # TXN101
