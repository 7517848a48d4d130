"""A database for each process that runs tests: made for the app, and dropped after the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from flask_safesession.testing import worker_database
from tests.conftest import Wanted
from tests.databases import Database

from .inner import CONFTEST, Inner
from .test_fixtures import ADDS

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("workers", [[], ["-p", "xdist.plugin", "-n", "2"]], ids=["", "xdist"])
def test_a_database_for_each_process(
    inner: Inner,
    pytester: pytest.Pytester,
    database: Database,
    workers: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is made for the app, and dropped after the run."""
    pytester.makeconftest(
        CONFTEST.replace("app(tmp_path_factory)", "app(safesession_database_url)").replace(
            'create_app(os.environ.get("SHOP", f"sqlite:///{tmp_path_factory.mktemp(\'shop\')}/shop.db"))',
            "create_app(safesession_database_url)",
        )
    )
    # It makes names that begin with this one, which nobody has made.
    url = make_url(database.url)
    url = url.set(database=f"{url.database}_new") if url.host else url
    monkeypatch.setenv("SAFESESSION_TEST_DATABASE", url.render_as_string(hide_password=False))
    before = _databases(database)
    inner.run(ADDS, *workers).assert_outcomes(passed=3)
    assert _databases(database) == before


@pytest.mark.postgresql
@pytest.mark.parametrize("workers", [[], ["-p", "xdist.plugin", "-n", "2"]], ids=["", "xdist"])
def test_a_copy_of_a_template_for_each_process(
    inner: Inner, wanted: Wanted, workers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the tables and the rows of the template."""
    database = wanted.get("postgresql-psycopg")
    monkeypatch.setenv("SAFESESSION_TEST_DATABASE", database.url)
    with worker_database(database.url, "template", Path()) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE kept AS SELECT 7 AS number")
        result = inner.run(
            """
            from sqlalchemy import NullPool, create_engine

            @pytest.mark.parametrize("number", range(2))
            def test_it(safesession_database_url, number):
                engine = create_engine(safesession_database_url, poolclass=NullPool)
                with engine.begin() as connection:
                    statement = "UPDATE kept SET number = number * 2 RETURNING number"
                    assert connection.exec_driver_sql(statement).scalar() in (14, 28)
            """,
            *workers,
            ini=f"safesession_template = {make_url(url).database}",
        )
    result.assert_outcomes(passed=2)


def test_only_postgresql_has_templates(inner: Inner) -> None:
    """Elsewhere the setting is refused in one line."""
    result = inner.run(
        "def test_one(safesession_database_url): pass", ini="safesession_template = shop"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["'shop' is to be copied on 'sqlite', and only PostgreSQL*"])


def _databases(database: Database) -> set[str]:
    if database.dialect == "sqlite" or database.observer is None:
        return set()
    catalogue = {
        "postgresql": "SELECT datname FROM pg_database",
        "mariadb": "SELECT schema_name FROM information_schema.schemata",
    }[database.dialect]
    own = str(database.observer.url.database)
    with database.observer.connect() as connection:
        found = connection.exec_driver_sql(catalogue).scalars().all()
    return {each for each in found if each.startswith(own)}


@pytest.mark.parametrize(
    "url",
    ["postgresql://127.0.0.1", "postgresql://127.0.0.1/?a=b/c", "tests", "oracle://127.0.0.1/db"],
)
@pytest.mark.parametrize("source", ["SAFESESSION_TEST_DATABASE", "safesession_database"])
def test_what_is_no_url(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, url: str, source: str
) -> None:
    """One line says so before a test begins; there may be a password in it, so it is not shown."""
    if source.isupper():
        monkeypatch.setenv(source, url)
    result = inner.run(
        "def test_one(safesession_database_url): pass",
        ini="" if source.isupper() else f"safesession_database = {url}",
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"ERROR: '{source}' is no URL from which databases for tests can be made. Give one of SQLite*"
        ]
    )
    assert f"'{url}'" not in result.stderr.str()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg://nobody@127.0.0.1:1/tests", "*can be made where*says: *refused*"),
        ("postgresql+nothing://127.0.0.1/tests", "*says: Can't load plugin: *nothing*"),
    ],
)
def test_a_server_that_cannot_be_used(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    """One line has what its driver says."""
    monkeypatch.setenv("SAFESESSION_TEST_DATABASE", url)
    result = inner.run("def test_one(safesession_database_url): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([reason])
    result.stdout.no_fnmatch_line("*Error:*")


@pytest.mark.parametrize(
    ("driver", "name"),
    [("asyncpg", "postgresql-psycopg"), ("aiomysql", "mariadb-pymysql")],
    ids=["asyncpg", "aiomysql"],
)
def test_the_url_of_an_async_driver(wanted: Wanted, driver: str, name: str, tmp_path: Path) -> None:
    """The database is made with that driver: the app may have no other."""
    pytest.importorskip(driver)
    given = make_url(wanted.get(name).url)
    given = given.set(drivername=f"{given.get_backend_name()}+{driver}")
    with worker_database(given.render_as_string(hide_password=False), "main", tmp_path) as url:
        assert make_url(url).drivername == given.drivername
        engine = create_engine(make_url(wanted.get(name).url).set(database=make_url(url).database))
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        engine.dispose()
    assert make_url(url).database not in _databases(wanted.get(name))


def test_a_file_for_an_async_driver(tmp_path: Path) -> None:
    """It is opened with the driver that the URL names."""
    with worker_database("sqlite+aiosqlite://", "main", tmp_path) as url:
        assert url == f"sqlite+aiosqlite:///{tmp_path}/main.sqlite"


def test_two_runs_with_one_number(wanted: Wanted, tmp_path: Path) -> None:
    """Processes of containers have the same numbers, and may share a server."""
    url = wanted.get("postgresql-psycopg").url
    with worker_database(url, "gw0", tmp_path) as one, worker_database(url, "gw0", tmp_path) as two:
        assert one != two


def test_a_database_that_is_not_known(tmp_path: Path) -> None:
    """Outside of pytest the URL is looked at when the database is made."""
    with pytest.raises(ValueError, match="is no URL from which databases for tests can be made"):
        with worker_database("oracle://scott@localhost/shop", "main", tmp_path):
            pass
