"""``safesession_db_access = explicit``: a test that touches the database unasked fails."""

from __future__ import annotations

import re

import pytest

from tests.databases import Database

from .inner import CONFTEST, Inner

pytest_plugins = ["pytester"]

EXPLICIT = "safesession_db_access = explicit"
REFUSED = "used the database in a test that has not asked for it ('safesession_db_access = explicit'). Give the test"


def test_access_has_to_be_asked_for(inner: Inner) -> None:
    """A test without a fixture or mark fails at the line that uses the database."""
    result = inner.run(
        """
        @pytest.fixture(scope="session")
        def lasting(app):
            with app.app_context():
                return names()

        def test_refused(app, lasting):
            with app.app_context():
                names()

        def test_without_database(app):
            pass

        @pytest.mark.safesession(isolation="rollback")
        def test_mark(app):
            with app.app_context():
                names()

        def test_fixture(db_session):
            names()

        def test_on_the_way(app, request):
            request.getfixturevalue("db_session")
            names()
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([f"*'names' (shop.py:*) {REFUSED}*"])
    result.stdout.no_fnmatch_line("*database access call*")


@pytest.mark.parametrize(
    "body",
    [
        """
        with app.app_context():
            try:
                names()
            except Exception:
                pass
        """,
        """
        app.config["PROPAGATE_EXCEPTIONS"] = app.testing = False
        app.test_client().post("/a")
        """,
        """
        thread = threading.Thread(target=swallow, args=[app])
        thread.start()
        thread.join()
        """,
        """
        async def touch():
            with app.app_context():
                async with session_manager() as session:
                    await session.scalar(db.select(Item.name))

        asyncio.run(swallowed(touch()))
        """,
        """
        swallow(app)
        pytest.skip("There is no database.")
        """,
    ],
    ids=["except", "error-page", "thread", "coroutine", "skip"],
)
def test_a_refusal_that_is_swallowed(inner: Inner, body: str) -> None:
    """The test fails with the same words, and with the line that touched the database."""
    indented = "\n".join(f"        {line.strip() and line}" for line in body.splitlines())
    result = inner.run(
        f"""
        import asyncio, threading
        from flask_safesession import session_manager

        def swallow(app):
            with app.app_context():
                try:
                    names()
                except Exception:
                    pass

        async def swallowed(work):
            try:
                await work
            except Exception:
                pass

        def test_one(app):
        {indented.replace("        " * 2, "            ")}
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [rf"'(names|add|touch)' \((test_)?shop.py:\d+\) {re.escape(REFUSED)} the fixture "]
    )


def test_each_phase_of_a_test(inner: Inner) -> None:
    """What a fixture of the test swallows counts too, at its beginning and at its end, once."""
    result = inner.run(
        """
        def touch(app):
            with app.app_context():
                try:
                    names()
                except Exception:
                    pass

        @pytest.fixture
        def early(app):
            touch(app)

        @pytest.fixture
        def late(app):
            yield
            touch(app)

        def test_early(early): pass
        def test_late(late): pass
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*at setup of test_early*", "*at teardown of test_late*"])


def test_a_test_that_fails_because_of_it(inner: Inner) -> None:
    """The report of its own failure says so; two lines that touched it are both named."""
    result = inner.run(
        """
        def test_one(app):
            app.config["PROPAGATE_EXCEPTIONS"] = app.testing = False
            app.test_client().post("/a")
            with app.app_context():
                try:
                    names()
                except Exception:
                    pass
            assert app.test_client().post("/a").status_code == 201
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert 500 == 201*",
            "*database access call*",
            f"'add' (shop.py:*), 'names' (shop.py:*) {REFUSED}*",
        ]
    )


def test_a_connection_from_before(inner: Inner, database: Database) -> None:
    """One that a fixture of the session has left open is no way around it."""
    result = inner.on(database.url).run(
        """
        @pytest.fixture(scope="session")
        def pushed(app):
            with app.app_context():
                names()
                yield
                db.session.close()

        def test_one(app, pushed):
            try:
                names()
            except Exception:
                pass
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"'names' (shop.py:*) {REFUSED}*"])


def test_a_fixture_of_the_session_that_is_asked_for_late(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """It may make the tables, also while a test runs; the test itself may not use them."""
    pytester.makeconftest(CONFTEST.replace("db.create_all()", "pass"))
    result = inner.run(
        """
        @pytest.fixture(scope="session")
        def tables(app):
            with app.app_context():
                db.create_all()

        def test_one(app, request):
            request.getfixturevalue("tables")

        def test_two(db_session, tables):
            assert names() == []

        def test_three(app, tables):
            with app.app_context():
                names()
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(passed=2, failed=1)


def test_a_suite_without_the_extension(inner: Inner, pytester: pytest.Pytester) -> None:
    """The setting does nothing to tests of other apps, or of none."""
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef app(): return None")
    tests = "def test_one(app): pass\ndef test_two(): pass\ndef test_three(): pytest.skip('Later.')"
    inner.run(tests, ini=EXPLICIT).assert_outcomes(passed=2, skipped=1)


def test_a_setting_that_is_met_inside_a_context(inner: Inner, pytester: pytest.Pytester) -> None:
    """The plugin brings the rest of the package when a context is pushed already."""
    pytester.makepyfile(shop="from flask import Flask")
    pytester.makeconftest("""
        import pytest
        from flask import Flask

        @pytest.fixture(scope="session")
        def app():
            app = Flask("late")
            with app.test_request_context():
                from flask_safesession import SafeSession, session_manager
                from flask_sqlalchemy import SQLAlchemy

                app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
                SafeSession(app, SQLAlchemy(app))
                yield app
    """)
    inner.run("def test_one(app): pass", ini=EXPLICIT).assert_outcomes(passed=1)


def test_what_asks_without_a_fixture(inner: Inner, database: Database) -> None:
    """A ``SafeSessionTestCase`` and the isolations of ``flask_safesession.testing`` ask for themselves."""
    result = inner.on(database.url).run(
        """
        from flask_safesession.testing import CommitIsolation, RollbackIsolation, SafeSessionTestCase

        def store(app):
            with app.app_context():
                db.session.add(Item(name="a"))
                db.session.commit()
                assert names() == ["a"]

        @pytest.fixture(scope="module")
        def asked_for_inside(app):
            pass

        class TestOfUnittest(SafeSessionTestCase):
            leaks = "error"

            @pytest.fixture(autouse=True)
            def keep(self, app):
                type(self).made = app

            def create_app(self):
                return self.made

            def test_one(self):
                store(self.app)

            test_two = test_one

        @pytest.mark.parametrize("isolation", [RollbackIsolation, CommitIsolation])
        def test_by_hand(app, isolation, request):
            with isolation(app), app.app_context():
                request.getfixturevalue("asked_for_inside")
                store(app)

        def test_after_it(app):
            with RollbackIsolation(app):
                store(app)
            with app.app_context():
                names()
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([f"*'names' (shop.py:*) {REFUSED}*"])


def test_a_pool_that_was_at_hand_before(inner: Inner) -> None:
    """A fixture of the session may use it all the same."""
    inner.run(
        """
        kept = []

        @pytest.fixture(scope="session")
        def warmed(app):
            kept.pop().connect().close()

        def test_one(app, request):
            with app.app_context():
                kept.append(db.engine.pool)
            request.getfixturevalue("warmed")
        """,
        ini=EXPLICIT,
    ).assert_outcomes(passed=1)
