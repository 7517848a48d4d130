from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from app.models import Setting

session = sessionmaker(bind=create_engine("sqlite://"))()


def write(key, value):
    session.merge(Setting(key=key, value=value))
    session.commit()  # TXN202
