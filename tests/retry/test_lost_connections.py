"""A server that ends connections: one try for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from flask_safesession import RetryPolicy, current_scope, on_rollback
from tests.conftest import missing
from tests.databases import EVERY, Database, DatabaseMissingError, end_connections
from tests.kit import Kit, MakeKit
from tests.servers import OwnPostgreSQL

SERVERS = [
    pytest.param(name, marks=getattr(pytest.mark, name.partition("-")[0]))
    for name in EVERY
    if not name.startswith("sqlite")
]
MANY = RetryPolicy(attempts=10, base_delay=0.001)


def _fill_pool(kit: Kit, size: int) -> None:
    connections = [kit.engine.connect() for _ in range(size)]
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("database", SERVERS)
@pytest.mark.parametrize("level", [None, "SERIALIZABLE"])
def test_stale_connections_cost_one_try(
    make_kit: MakeKit, database: str, level: str | None
) -> None:
    """All five of the pool are dead; the second try has a new one, without a check before each use."""
    kit = make_kit(database, engine_options={"pool_pre_ping": False})
    tries = []

    def work() -> Any:
        scope = current_scope()
        tries.append(None if scope is None else scope.attempt)
        return kit.session().scalar(text("SELECT 1"))

    with kit.app.app_context():
        _fill_pool(kit, 5)
        end_connections(kit.database)
        assert kit.safe.run(work, retry=MANY, isolation_level=level) == 1
    assert tries == [1, 2]


@pytest.mark.parametrize("database", SERVERS)
def test_a_connection_that_ends_in_between_costs_one_try(make_kit: MakeKit, database: str) -> None:
    """What it had written is gone with it, and is written again."""
    kit = make_kit(database, engine_options={"pool_pre_ping": False})

    def work() -> int:
        scope = current_scope()
        assert scope is not None
        kit.session().add(kit.Item(name=f"try {scope.attempt}"))
        kit.session().flush()
        if scope.attempt == 1:
            end_connections(kit.database)
        kit.session().scalar(text("SELECT 1"))
        return scope.attempt

    with kit.app.app_context():
        _fill_pool(kit, 5)
        assert kit.safe.run(work, retry=MANY) == 2
    assert kit.names() == ["try 2"]


@pytest.mark.parametrize("database", SERVERS)
def test_a_connection_that_ends_before_commit_is_not_tried_again(
    make_kit: MakeKit, database: str
) -> None:
    """Nobody knows whether the COMMIT had reached the server: the driver tells the same for both."""
    kit = make_kit(database, engine_options={"pool_pre_ping": False})
    tries = []

    def work() -> None:
        tries.append(1)
        kit.session().add(kit.Item(name="a"))
        kit.session().flush()
        end_connections(kit.database)

    with kit.app.app_context(), pytest.raises(Exception, match=r"not known|not sent"):
        kit.safe.run(work, retry=MANY)
    assert tries == [1]


@pytest.mark.postgresql
@pytest.mark.parametrize("database", ["postgresql-psycopg", "postgresql-psycopg2"])
def test_it_is_where_the_database_says_that_nothing_is_stored(
    make_kit: MakeKit, database: str
) -> None:
    """``SAFESESSION_VERIFY_COMMIT`` has asked; the work is done again, and once."""
    kit = make_kit(database, config={"SAFESESSION_VERIFY_COMMIT": True})

    def work() -> int:
        scope = current_scope()
        assert scope is not None
        kit.session().add(kit.Item(name="a"))
        kit.session().flush()
        if scope.attempt == 1:
            end_connections(kit.database)
        return scope.attempt

    with kit.app.app_context():
        assert kit.safe.run(work, retry=MANY) == 2
    assert kit.names() == ["a"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.postgresql
def test_a_server_that_comes_back_serves_the_next_try(make_kit: MakeKit) -> None:
    """The unit outlives a restart: the connections are lost, then refused, and then there are new ones."""
    server = _own_postgresql()
    try:
        kit = make_kit(Database("own", "postgresql", "psycopg", _address(server), ""))
        with kit.app.app_context():
            _fill_pool(kit, 5)
            server.stop()
            assert kit.safe.run(_select, kit, server.start, retry=MANY) == 3
        kit.dispose()
    finally:
        server.remove()


def _select(kit: Kit, start: Callable[[], None]) -> int:
    scope = current_scope()
    assert scope is not None
    if scope.attempt == 2:
        on_rollback(start)
    kit.session().scalar(text("SELECT 1"))
    return scope.attempt


def _own_postgresql() -> OwnPostgreSQL:
    try:
        return OwnPostgreSQL()
    except DatabaseMissingError as error:
        missing("postgresql", error)


def _address(server: OwnPostgreSQL) -> str:
    return server.url.render_as_string(hide_password=False)
