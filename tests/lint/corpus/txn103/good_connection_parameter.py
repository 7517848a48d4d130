from sqlalchemy import Connection, insert

from app.models import Log


def write(connection: Connection, text: str):
    with connection.begin():
        connection.execute(insert(Log).values(text=text))
