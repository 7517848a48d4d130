from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


def init(url):
    engine = create_engine(url)
    return sessionmaker(bind=engine), engine


SessionLocal, engine = init("sqlite://")
