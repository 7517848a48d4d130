from functools import lru_cache

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


@lru_cache
def factory(url):
    return sessionmaker(create_engine(url))
