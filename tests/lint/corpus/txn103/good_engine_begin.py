from sqlalchemy import Engine, text


def create_schema(engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA core"))
