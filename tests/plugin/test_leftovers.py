"""Tests that leave something behind: they are told, and the next ones do not suffer for it."""

from __future__ import annotations

import pytest

from tests.conftest import Wanted
from tests.databases import Database

from .inner import Inner

pytest_plugins = ["pytester"]

LEAKS_FAIL = "safesession_leaks = error"


def test_a_transaction_that_is_left_open(inner: Inner, database: Database) -> None:
    """Its locks do not keep the tables from being emptied, and the report names who took the connection."""
    result = inner.on(database.url).run(
        """
        kept = []

        def test_one(app, transactional_db):
            db.session.add(Item(name="a"))
            db.session.commit()
            connection = db.engine.connect()
            connection.execute(db.text("UPDATE shop_item SET name = 'b'"))
            kept.append(connection)

        def test_two(app, transactional_db):
            assert names() == []
            kept.pop().close()
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*a connection is still out of its pool, taken by 'test_one'*"])


def test_a_transaction_of_a_thread_that_has_ended(inner: Inner, database: Database) -> None:
    """Its locks keep nobody waiting either."""
    result = inner.on(database.url).run(
        """
        import threading

        kept = []

        def work(app):
            with app.app_context():
                kept.append(db.engine.connect())
            kept[0].execute(db.text("UPDATE shop_item SET name = 'b'"))

        def test_one(app, transactional_db):
            db.session.add(Item(name="a"))
            db.session.commit()
            thread = threading.Thread(target=work, args=[app])
            thread.start()
            thread.join()

        def test_two(app, transactional_db):
            assert names() == []
            kept.pop().close()
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*a connection is still out of its pool, taken by 'work'*"])


def test_a_context_on_top_of_that_of_the_test(inner: Inner) -> None:
    """It is reported with its line, and gone."""
    result = inner.run(
        """
        def test_one(app, db_session):
            app.app_context().push()

        def test_two(app, db_session):
            assert db.session() is db_session
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*an application context is still pushed, by 'test_one'*"])
    result.stdout.no_fnmatch_line("*Popped wrong*")


def test_a_job_of_an_earlier_test(inner: Inner) -> None:
    """Only the test that began it is told."""
    result = inner.run(
        """
        import threading
        from flask_safesession import AppContextManager

        go_on = threading.Event()
        jobs = []

        def test_one(app):
            jobs.append(AppContextManager(app).thread(go_on.wait))
            jobs[0].start()

        def test_two(app):
            assert jobs[0].is_alive()

        def test_three(app):
            go_on.set()
            jobs[0].join()
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=3, errors=1)


@pytest.mark.parametrize(
    "begin",
    ["manager.thread(kept.acquire).start()", "manager.executor(1).submit(kept.acquire)"],
    ids=["thread", "executor"],
)
def test_a_job_that_is_no_function_of_python(inner: Inner, begin: str) -> None:
    """It is named with the line that began it, and no line of the extension's own."""
    result = inner.run(
        f"""
        import threading
        from flask_safesession import AppContextManager

        kept = threading.Lock()

        def test_one(app):
            manager = AppContextManager(app)
            kept.acquire()
            {begin}

        def test_two(app):
            kept.release()
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*the job 'lock.acquire' still runs in the thread '*', begun by 'test_one' (test_shop.py:12). *"
        ]
    )


def test_a_clean_up_of_the_app_that_fails(inner: Inner) -> None:
    """The test is rolled back all the same, and the next one is isolated."""
    result = inner.run("""
        def test_one(app, db_session):
            db_session.add(Item(name="a"))
            db_session.commit()
            breaks = [1, 2]
            app.teardown_appcontext_funcs.append(lambda error: breaks and breaks.pop().fails)

        def test_two(db_session):
            assert names() == []
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.no_fnmatch_line("*isolated already*")


@pytest.mark.parametrize("arguments", ["", "(isolation=None)", "(reset_sequences=False)"])
def test_a_mark_that_says_nothing(inner: Inner, arguments: str) -> None:
    """It would isolate nothing."""
    result = inner.run(f"""
        @pytest.mark.safesession{arguments}
        def test_one(app): pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Its mark 'safesession' says nothing. Give 'isolation=*"])


@pytest.mark.parametrize("scoped", ["db.session", "scoped_session(sessionmaker())"])
def test_a_scoped_session_of_pytest_flask_sqlalchemy(
    inner: Inner, pytester: pytest.Pytester, scoped: str
) -> None:
    """What stands for it can be called and removed, as the app does at the end of each context."""
    pytester.makepyfile(
        elsewhere=f"""
        from shop import db
        from sqlalchemy.orm import scoped_session, sessionmaker

        class holder:
            session = {scoped}
        """
    )
    inner.run(
        """
        import elsewhere

        def test_one(db_session, client):
            assert elsewhere.holder.session() is db_session
            elsewhere.holder.session.add(Item(name="a"))
            elsewhere.holder.session.commit()
            assert client.post("/b").status_code == 201
            assert names() == ["a", "b"]

        def test_two(db_session):
            elsewhere.holder.session.remove()
            assert names() == []
        """,
        ini="mocked-sessions = elsewhere.holder.session shop.db.session",
    ).assert_outcomes(passed=2)


def test_a_path_that_leads_nowhere(inner: Inner) -> None:
    """One line says which setting it is."""
    result = inner.run("def test_one(db_session): pass", ini="mocked-engines = shop.nothing.engine")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["The setting 'mocked-engines' names 'shop.nothing.engine', *"])
    result.stdout.no_fnmatch_line("*During handling*")


@pytest.mark.parametrize("path", ["session", "shop.", "shop db.session", "shop/db.session"])
def test_what_is_no_path(inner: Inner, path: str) -> None:
    """It is told once, before a test begins."""
    result = inner.run("def test_one(): pass", ini=f"mocked-sessions = '{path}'")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: The setting 'mocked-sessions' names '{path}', which is no import path. *"]
    )


def test_a_connection_to_another_database(inner: Inner) -> None:
    """It is none of the app's: it is neither told nor rolled back."""
    inner.run(
        """
        import sqlalchemy as sa

        kept = []

        def test_one(app, transactional_db):
            kept.append(sa.create_engine("sqlite://").connect())

        def test_two():
            kept.pop().close()
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=2)


def test_a_table_that_is_made_inside_a_test(inner: Inner, wanted: Wanted) -> None:
    """PostgreSQL is asked again whether constraints are deferred, and a violation is an error at COMMIT."""
    inner.on(wanted.get("postgresql-psycopg").url).run(
        """
        from sqlalchemy.exc import IntegrityError

        def test_one(app, db_session):
            db_session.execute(db.text(
                "CREATE TABLE late (id int REFERENCES shop_item DEFERRABLE INITIALLY DEFERRED)"
            ))
            db_session.commit()
            db_session.execute(db.text("INSERT INTO late VALUES (1)"))
            with pytest.raises(IntegrityError):
                db_session.commit()
            db_session.rollback()
        """
    ).assert_outcomes(passed=1)
