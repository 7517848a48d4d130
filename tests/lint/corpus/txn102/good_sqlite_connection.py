import sqlite3

from sqlalchemy import create_engine

engine = create_engine("sqlite://")


def write(db: sqlite3.Connection, text: str):
    db.execute("INSERT INTO log VALUES (?)", (text,))
    db.commit()
