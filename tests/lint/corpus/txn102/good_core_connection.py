from sqlalchemy.engine import Connection


def vacuum(connection: Connection):
    connection.execute("VACUUM")
    connection.commit()
