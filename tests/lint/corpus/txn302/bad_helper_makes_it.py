from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


def connect():
    return sessionmaker(create_engine("sqlite://"))()


session = connect()  # TXN302
