"""Sessions are followed from file to file: through imports, classes, attributes and calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import check_files

DATABASE = """
    from flask_sqlalchemy import SQLAlchemy
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, declarative_base, scoped_session, sessionmaker

    class ShopSession(Session):
        pass

    class ShopAsyncSession(AsyncSession):
        pass

    class Database(SQLAlchemy):
        pass

    Base = declarative_base()
    SessionLocal = sessionmaker()
    db = Database()
    current: Session
    registry: scoped_session
    shared = None

    def open_shared():
        global shared
        shared = SessionLocal()
"""

# Each is a module beside ``shop/database.py``, with the rules that it is an example of.
MODULES = {
    "a factory through two star imports": (
        """
        from shop.everything import *

        def report():
            session = SessionLocal()
            return session.scalar(1)
        """,
        ["TXN301"],
    ),
    "a factory that may be missing": (
        """
        try:
            from .database import SessionLocal
        except ImportError:
            SessionLocal = None

        def report():
            session = SessionLocal()
            return session.scalar(1)
        """,
        ["TXN301"],
    ),
    "a class of sessions of the project's own": (
        """
        from shop.database import ShopSession

        def report():
            session = ShopSession()
            return session.scalar(1)
        """,
        ["TXN301"],
    ),
    "a class of async sessions of the project's own": (
        """
        from .database import ShopAsyncSession

        async def report():
            session = ShopAsyncSession()
            return await session.scalar(1)
        """,
        ["TXN301"],
    ),
    "a subclass of Flask-SQLAlchemy": (
        """
        from threading import Thread
        from shop.database import db

        def store():
            db.session.commit()

        def start():
            Thread(target=store).start()
        """,
        ["TXN403"],
    ),
    "a session that is declared here and made elsewhere": (
        """
        from shop import database

        def store(order):
            database.current.add(order)
            database.current.commit()
        """,
        ["TXN202"],
    ),
    "a registry that is declared here and made elsewhere": (
        """
        from shop.database import registry

        def store(order):
            registry.add(order)
            registry.commit()
        """,
        [],
    ),
    "a session that another function puts into a global": (
        """
        from shop.database import shared

        def store(order):
            shared.add(order)
            shared.commit()
        """,
        ["TXN202"],
    ),
    "a session that a constructor is given": (
        """
        from shop.database import SessionLocal

        class Orders:
            def __init__(self, session):
                self.session = session

            def save(self, order):
                self.session.add(order)
                self.session.commit()

        def import_orders(rows):
            with SessionLocal() as session:
                for row in rows:
                    Orders(session).save(row)
        """,
        ["TXN501"],
    ),
    "a session of the function around": (
        """
        from sqlalchemy.orm import Session

        def import_orders(rows, session: Session):
            def store(row):
                session.add(row)
                session.flush()

            for row in rows:
                try:
                    store(row)
                except Exception:
                    print(row)
        """,
        ["TXN201"],
    ),
    "a with block of the project's own class": (
        """
        from shop.database import SessionLocal

        class UnitOfWork:
            def __enter__(self):
                self.session = SessionLocal()
                return self.session

            def __exit__(self, *error):
                self.session.close()

        def import_orders(rows):
            with UnitOfWork() as session:
                for row in rows:
                    session.add(row)
                    session.commit()
        """,
        ["TXN501"],
    ),
    "a session that is awaited before the with block": (
        """
        from sqlalchemy.ext.asyncio import async_sessionmaker

        sessions = async_sessionmaker()

        async def open_session():
            return sessions()

        async def import_orders(rows):
            async with await open_session() as session:
                for row in rows:
                    session.add(row)
                    await session.commit()
        """,
        ["TXN501"],
    ),
    "rows of a declarative base": (
        """
        from threading import Thread
        from sqlalchemy import select
        from shop.database import Base, db

        class Order(Base):
            number = 1

        def mail(order):
            print(order.number)

        def start():
            order = db.session.scalars(select(Order)).first()
            Thread(target=mail, args=(order,)).start()
        """,
        ["TXN401"],
    ),
    "a session that a called function closes": (
        """
        from shop.database import SessionLocal

        def finish(session):
            session.commit()
            session.close()

        def report():
            finish(SessionLocal())
        """,
        ["TXN102"],
    ),
    "a session without a name that a called function only uses": (
        """
        from shop.database import SessionLocal

        def count(session):
            return session.scalar(1)

        def report():
            return count(SessionLocal())
        """,
        ["TXN301"],
    ),
    "a session that an inner function closes": (
        """
        from atexit import register
        from shop.database import SessionLocal

        def serve():
            session = SessionLocal()

            def end():
                print(session)
                finish(session)

            register(end)
        """,
        [],
    ),
    "a session inside an object that closes it": (
        """
        from shop.database import SessionLocal

        class Reader:
            def __init__(self, session):
                self.session = session

            def close(self):
                self.session.close()

        def reader():
            session = SessionLocal()
            readers.add(Reader(session))
            print(Reader(session))
        """,
        [],
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_session_is_known_by_where_it_comes_from(tmp_path: Path, name: str) -> None:
    """Whatever the names are."""
    text, rules = MODULES[name]
    files = {
        "shop/__init__.py": "",
        "shop/database.py": DATABASE,
        "shop/more.py": "from .database import *\n",
        "shop/everything.py": "from .more import *\n",
        "shop/work.py": text,
    }
    found = check_files(tmp_path, files)
    assert sorted({each.rule for each in found if each.path == "shop/work.py"}) == rules
