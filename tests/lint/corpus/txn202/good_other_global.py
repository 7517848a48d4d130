import sqlite3

from sqlalchemy import select

session = sqlite3.connect("cache.db")


def keep(text):
    session.execute(str(select(1)), (text,))
    session.commit()
