"""The fixtures of the plugin, in projects that use them well and badly."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from tests.databases import Database

from .inner import PLUGIN, Inner

pytest_plugins = ["pytester"]

ADDS = """
    @pytest.mark.parametrize("number", range(3))
    def test_adds(db_session, client, number):
        db_session.add(Item(name="a"))
        db_session.commit()
        assert client.post("/b").status_code == 201
        assert names() == ["a", "b"]
"""


def test_pytest_finds_the_plugin() -> None:
    """It is installed as an entry point."""
    found = importlib.metadata.entry_points(group="pytest11", name="safesession")
    assert [each.value for each in found] == [PLUGIN]


def test_each_test_begins_with_an_empty_database(inner: Inner, database: Database) -> None:
    """What a test and its requests commit is gone in the next one."""
    inner.on(database.url).run(ADDS).assert_outcomes(passed=3)


@pytest.mark.parametrize("arguments", [["-p", "xdist", "-n", "2"], ["-p", "randomly"]])
def test_in_any_order_and_in_parallel(inner: Inner, arguments: list[str]) -> None:
    """Random order and xdist change nothing."""
    names = {"xdist": "xdist.plugin", "randomly": "pytest_randomly"}
    inner.run(ADDS, *(names.get(each, each) for each in arguments)).assert_outcomes(passed=3)


def test_db_session_is_the_session_of_the_app(inner: Inner) -> None:
    """``db.session`` and ``session_manager()`` use it in the test's own context."""
    inner.run("""
        from flask_safesession import session_manager

        def test_one(db_session):
            assert db.session() is db_session
            with session_manager() as session:
                assert session is db_session
    """).assert_outcomes(passed=1)


def test_a_request_has_a_session_of_its_own(inner: Inner) -> None:
    """The test's pending objects and the request's do not meet, as in production."""
    inner.run("""
        def test_one(app, db_session, client):
            @app.get("/session")
            def session():
                return {"shared": db.session() is db_session}

            db_session.add(Item(name="pending"))
            assert client.get("/session").json == {"shared": False}
            assert list(db_session.new)
    """).assert_outcomes(passed=1)


def test_hooks_run_when_the_request_has_committed(inner: Inner) -> None:
    """Nobody has to wait for the end of the test."""
    inner.run("""
        def test_one(db_session, client):
            client.post("/a")
            assert sent == ["a"]
    """).assert_outcomes(passed=1)


def test_a_mark_isolates_as_well(inner: Inner) -> None:
    """On a test, on a class and on a module."""
    inner.run("""
        pytestmark = pytest.mark.safesession(isolation="rollback")

        class TestClass:
            def test_method(self, client):
                client.post("/a")

        def test_function(client):
            client.post("/a")
    """).assert_outcomes(passed=2)


def test_the_engine_takes_part(inner: Inner) -> None:
    """``db_engine`` is the engine of the app, inside the same transaction."""
    inner.run("""
        def test_one(db_engine):
            assert db_engine is not None
            with db_engine.begin() as connection:
                connection.execute(db.text("INSERT INTO shop_item (name) VALUES ('a')"))
            assert names() == ["a"]
    """).assert_outcomes(passed=1)


def test_a_session_without_one_engine(inner: Inner, pytester: pytest.Pytester) -> None:
    """One line says where the engines are that ``db_engine`` cannot choose from."""
    pytester.makeconftest("""
        import pytest
        from flask import Flask
        from flask_safesession import SafeSession
        from shop import Item
        from sqlalchemy import create_engine
        from sqlalchemy.orm import sessionmaker

        @pytest.fixture
        def app():
            app = Flask("two")
            SafeSession(app, sessionmaker(binds={Item: create_engine("sqlite://")}))
            return app
    """)
    result = inner.run("def test_one(db_engine): pass\ndef test_two(db_session): pass")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["'db_engine' is the one engine of the app's session, which has engines for*"]
    )
    result.stdout.no_fnmatch_line("*UnboundExecutionError*")


def test_async_views_take_part(inner: Inner, database: Database) -> None:
    """Each request has an event loop, and sees what the one before it and the test's own coroutines have stored."""
    inner.on(database.url).run("""
        import asyncio

        from flask_safesession import session_manager

        async def store(name):
            async with session_manager() as session:
                session.add(Item(name=name))
                await session.flush()
                return sorted(await session.scalars(db.select(Item.name)))

        @pytest.fixture(scope="module")
        def client(app):
            app.add_url_rule("/async/<name>", view_func=store)
            return app.test_client()

        @pytest.mark.parametrize("fixture", ["db_session", "transactional_db"])
        def test_one(request, client, fixture):
            request.getfixturevalue(fixture)
            assert asyncio.run(store("a")) == ["a"]
            assert client.get("/async/b").json == ["a", "b"]
            assert client.get("/async/c").json == ["a", "b", "c"]
    """).assert_outcomes(passed=2)


def test_fixtures_of_the_user_are_inside_the_isolation(inner: Inner) -> None:
    """What a function-scoped fixture stores is rolled back, also where the test asks by a mark."""
    inner.run("""
        @pytest.fixture(autouse=True)
        def item(app):
            with app.app_context():
                db.session.add(Item(name="fixture"))
                db.session.commit()

        @pytest.mark.safesession(isolation="rollback")
        def test_one(app):
            with app.app_context():
                assert names() == ["fixture"]

        def test_two(item, db_session):
            assert names() == ["fixture"]
    """).assert_outcomes(passed=2)


def test_real_commits(inner: Inner, database: Database) -> None:
    """``transactional_db`` and its mark store for everybody, and empty what was written to."""
    inner.on(database.url).run("""
        @pytest.mark.parametrize("number", range(2))
        def test_fixture(transactional_db, client, number):
            transactional_db.add(Item(name="a"))
            transactional_db.commit()
            client.post("/b")
            assert names() == ["a", "b"]

        @pytest.mark.safesession(isolation="commit", reset_sequences=True)
        def test_mark(app, client):
            client.post("/a")
            with app.app_context():
                assert db.session.scalar(db.select(Item.id)) == 1
    """).assert_outcomes(passed=3)


def test_captured_hooks(inner: Inner) -> None:
    """A test lists the hooks that it holds back."""
    inner.run("""
        def test_one(db_session, client, captured_commit_hooks):
            with captured_commit_hooks() as hooks:
                client.post("/a")
            assert hooks == ["list.append"]
            assert sent == []
            hooks.run()
            assert sent == ["a"]
    """).assert_outcomes(passed=1)


def test_hooks_that_were_never_run_are_reported(inner: Inner) -> None:
    """A transaction that nobody has committed keeps its hooks from running, and the report says so."""
    result = inner.run("""
        def test_one(db_session):
            db_session.add(Item(name="a"))
            on_commit(sent.append, "a")
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*these hooks were never run: 'list.append'. Nobody committed*"])


@pytest.mark.parametrize(
    ("tests", "line"),
    [
        (
            "def test_one(db_session, transactional_db): pass",
            "*test_one: It is to be isolated with 'rollback' by the fixture 'db_session' and 'commit' by the *",
        ),
        (
            """
@pytest.mark.safesession(isolation='commit')
class TestA:
    @pytest.mark.safesession(isolation='rollback')
    def test_one(self, app): pass
            """,
            "*TestA::test_one: It is to be isolated with 'rollback' by a mark and 'commit' by a mark. Ask for one of *",
        ),
        (
            "@pytest.mark.safesession(isolation='commit')\ndef test_one(db_session): pass",
            "*It is to be isolated with 'commit' by a mark and 'rollback' by the fixture 'db_session'.*",
        ),
        (
            "@pytest.mark.safesession(isolation='never')\ndef test_one(app): pass",
            "*test_one: Its mark says 'isolation='never''. Give 'rollback' or 'commit'.",
        ),
        (
            "@pytest.mark.safesession(level='commit')\ndef test_one(app): pass",
            "*test_one: Its mark 'safesession' has an argument 'level', which is not known. Give 'isolation' *",
        ),
        (
            "@pytest.mark.safesession('commit', True, 1)\ndef test_one(app): pass",
            "*test_one: Its mark 'safesession' has an argument 1, which is not known.*",
        ),
        (
            "@pytest.mark.safesession(reset_sequences=True)\ndef test_one(db_session): pass",
            "*test_one: 'reset_sequences=True' is for real transactions. Ask for 'isolation=\"commit\"' with it.",
        ),
        (
            "@pytest.mark.safesession('commit', reset_sequences='no')\ndef test_one(app): pass",
            "*test_one: Its mark says 'reset_sequences='no''. Give True or False.",
        ),
        (
            """
@pytest.mark.safesession(isolation='commit', reset_sequences=True)
class TestA:
    @pytest.mark.safesession(reset_sequences=False)
    def test_one(self, app): pass
            """,
            "*TestA::test_one: It has a mark with 'reset_sequences=True' and one with 'reset_sequences=False'. Give *",
        ),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-p", "xdist.plugin", "-n", "1"]], ids=["", "xdist"])
def test_bad_wishes_are_told_at_collection(
    inner: Inner, tests: str, line: str, workers: list[str]
) -> None:
    """One line says what is wrong with which test, and nothing runs."""
    result = inner.run(tests, *workers)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR collecting*", line])


@pytest.mark.parametrize("fixture", ["db_session", "faults", "statements"])
def test_no_app_fixture(inner: Inner, pytester: pytest.Pytester, fixture: str) -> None:
    """Where there is no fixture ``app`` the line says who needs it."""
    (pytester.path / "conftest.py").unlink()
    result = inner.run(f"def test_one({fixture}): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*test_one: The fixture '{fixture}' needs the app, and there is no fixture 'app'.*"]
    )


def test_an_app_without_the_extension(inner: Inner, pytester: pytest.Pytester) -> None:
    """One line, without a traceback."""
    pytester.makeconftest("""
        import pytest
        from flask import Flask

        @pytest.fixture
        def app():
            return Flask("plain")
    """)
    result = inner.run(
        "def test_one(db_session): pass\ndef test_two(app): pass\ndef test_three(faults): pass"
    )
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*<Flask 'plain'>, which has no SafeSession. Call*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_isolation_that_is_asked_for_on_the_way(inner: Inner) -> None:
    """``getfixturevalue`` isolates from there on; the other isolation is then refused."""
    result = inner.run("""
        def test_one(app, client, request):
            request.getfixturevalue("db_session")
            client.post("/a")
            assert names() == ["a"]

        def test_two(db_session, request):
            request.getfixturevalue("transactional_db")
    """)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*is isolated with 'rollback', and now 'commit' is asked for.*"])


LEAKS = """
    import threading

    from flask_safesession import AppContextManager, session_manager

    end = threading.Event()

    @pytest.fixture(autouse=True, scope="module")
    def cleaned():
        yield
        end.set()

    def test_clean(client, db_session):
        client.post("/a")

    def test_job(app):
        def waits():
            end.wait(9)

        AppContextManager(app).executor(1).submit(waits)

    def test_scope(app):
        app.app_context().push()
        session_manager(name="open").__enter__()
        names()
"""
SCOPE = "the scope 'open' (test_shop.py:26) is still open; "
CONTEXT = "an application context is still pushed, by 'test_scope' (test_shop.py:25); "
CONNECTION = "a connection is still out of its pool, taken by 'names' (shop.py:*)."
JOB = (
    "the job 'test_job.<locals>.waits' still runs in the thread 'ThreadPoolExecutor-*', "
    "begun by 'test_job' (test_shop.py:22), and is in 'waits' (test_shop.py:20)."
)


def test_leaks_are_warned_about(inner: Inner) -> None:
    """Each has the line that it comes from."""
    result = inner.run(LEAKS, "-W", "always")
    result.assert_outcomes(passed=3)
    start = "*LeakWarning: The test left something behind: "
    result.stdout.fnmatch_lines([f"{start}{JOB}*", f"{start}{SCOPE}{CONTEXT}{CONNECTION}*"])


def test_a_scope_in_the_context_of_the_test(inner: Inner) -> None:
    """It is ended with the test, and reported."""
    result = inner.run(
        """
        from flask_safesession import session_manager

        def test_one(db_session):
            session_manager(name="open").__enter__()
        """,
        ini="safesession_leaks = error",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.no_fnmatch_line("*During handling of*")
    result.stdout.fnmatch_lines(["*behind: the scope 'open' (test_shop.py:*) is still open.*"])


def test_leaks_are_failures(inner: Inner) -> None:
    """With the ini key they are, without a traceback of the plugin's own."""
    result = inner.run(LEAKS, ini="safesession_leaks = error")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines([f"The test left something behind: {JOB}*"])
    result.stdout.no_fnmatch_line("*_guarding.py*")


def test_what_is_made_from_the_app_is_no_leak(inner: Inner, pytester: pytest.Pytester) -> None:
    """A client keeps the context of its last request until its ``with`` block ends, as pytest-flask's does.

    The plugin looks after that, also where the app is made for each test and nothing else of the order is changed.
    """
    pytester.makeconftest("""
        import pytest
        from shop import create_app, db

        made = []

        @pytest.fixture
        def settled():
            made.append("settled")

        @pytest.fixture
        def app(tmp_path, settled):
            app = create_app(f"sqlite:///{tmp_path}/shop.db")
            with app.app_context():
                db.create_all()
            yield app
            with app.app_context():
                db.engine.dispose()

        @pytest.fixture
        def client(app):
            made.append("client")
            return app.test_client()
    """)
    result = inner.run(
        """
        from conftest import made

        @pytest.fixture
        def client(client):
            with client as kept:
                yield kept

        def test_one(client, settled, db_session):
            assert made == ["settled", "client"]
            assert client.post("/a").status_code == 201
        """,
        ini="safesession_leaks = error",
    )
    result.assert_outcomes(passed=1)


def test_leaks_are_nobodys_business(inner: Inner) -> None:
    """The check can be switched off."""
    result = inner.run(LEAKS, ini="safesession_leaks = off")
    result.assert_outcomes(passed=3)


def test_an_unknown_ini_value(inner: Inner) -> None:
    """The values that there are follow."""
    result = inner.run("def test_one(): pass", ini="safesession_leaks = maybe")
    result.stderr.fnmatch_lines(
        ["*'safesession_leaks = maybe' is not known. Give one of 'warn', 'error', 'off'."]
    )


def test_a_suite_that_does_not_use_it(inner: Inner, pytester: pytest.Pytester) -> None:
    """An ``app`` that is something else, a ``db_session`` of the suite's own: nothing changes."""
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def app():
            return "no Flask app"

        @pytest.fixture
        def db_session(app):
            return app
    """)
    inner.run("def test_one(db_session, app): assert app == db_session").assert_outcomes(passed=1)


LOADING = f"""
import sys, sqlalchemy.orm, flask, pytest
pytest.main(["--version"]); before = set(sys.modules)
import {PLUGIN}
print(*(set(sys.modules) - before))
"""


def test_loading_it_brings_itself_alone() -> None:
    """Nothing else of the package is imported; ``make bench`` takes the time."""
    command = [sys.executable, "-c", LOADING]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    names = {"", "._dropin", "._fixtures", "._marks", "._settings"}
    assert set(run.stdout.splitlines()[-1].split()) == {
        "flask_safesession",
        "flask_safesession._names",
        *(f"{PLUGIN}{each}" for each in names),
    }


def test_the_other_fixtures(inner: Inner) -> None:
    """Statements are counted, and faults come as ordered."""
    result = inner.run("""
        from sqlalchemy.exc import DBAPIError

        def test_statements(db_session, statements, assert_statements):
            with statements() as sent, assert_statements(1):
                names()
            assert sent[0].startswith("SELECT")

        def test_inline(app, db_session, inline_jobs):
            from flask_safesession import AppContextManager

            with AppContextManager(app).executor(1) as executor:
                assert executor.submit(names).done()

        def test_too_many(db_session, assert_statements):
            with assert_statements(2):
                names()

        def test_faults(faults, db_session):
            faults.fail("commit", error="lock_timeout")
            db_session.add(Item(name="a"))
            with pytest.raises(DBAPIError, match="database is locked"):
                db_session.commit()
    """)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: 1 statement(s) were sent where 2 were expected:*"]
    )


def test_the_keys_of_pytest_flask_sqlalchemy(inner: Inner, pytester: pytest.Pytester) -> None:
    """Objects that the code holds elsewhere are those of the test, and theirs again after it."""
    pytester.makepyfile(elsewhere="session = factory = engine = 'stock'")
    inner.run(
        """
        import elsewhere

        def test_one(db_session, db_engine):
            assert elsewhere.session is db_session
            assert elsewhere.factory(expire_on_commit=False) is db_session
            assert elsewhere.engine is db_engine
            elsewhere.session.add(Item(name="a"))
            elsewhere.session.commit()

        def test_two():
            assert elsewhere.session == elsewhere.factory == elsewhere.engine == "stock"
        """,
        ini="""
            mocked-sessions = elsewhere.session
            mocked-sessionmakers = elsewhere.factory
            mocked-engines = elsewhere.engine
        """,
    ).assert_outcomes(passed=2)


def test_a_mark_that_comes_late(inner: Inner) -> None:
    """Where the collection could not see it, the set-up of the test does."""
    result = inner.run("""
        @pytest.fixture(scope="module", autouse=True)
        def late(request):
            for item in request.session.items:
                item.add_marker(pytest.mark.safesession(isolation="never"))

        def test_one(app):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*Its mark says 'isolation='never''. Give 'rollback' or 'commit'.*"]
    )


def test_a_fixture_that_comes_without_an_app(inner: Inner, pytester: pytest.Pytester) -> None:
    """The line says how to ask for it."""
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef app(): return None")
    result = inner.run("""
        def test_one(app, request): request.getfixturevalue('db_session')
        def test_two(request): request.getfixturevalue('db_session')
    """)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*'db_session' was asked for while the test ran, and its app has no SafeSession*"]
    )


def test_the_plugin_whose_place_it_takes_is_left_alone(
    inner: Inner, pytester: pytest.Pytester
) -> None:
    """While that is installed, its fixtures and settings are its own."""
    pytester.makepyfile(pytest_flask_sqlalchemy="")
    inner.run("""
        def test_one(app, request):
            with pytest.raises(pytest.FixtureLookupError):
                request.getfixturevalue("db_session")
    """).assert_outcomes(passed=1)
