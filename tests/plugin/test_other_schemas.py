"""Rows that a test with real commits has written elsewhere than where names are looked up at first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from flask_safesession import errors
from flask_safesession.testing import CommitIsolation
from tests.kit import Kit, MakeKit

SCHEMA = "elsewhere"


@pytest.fixture(params=["postgresql-psycopg", "mariadb-pymysql"])
def kit(make_kit: MakeKit, request: pytest.FixtureRequest) -> Iterator[Kit]:
    """An app whose server has two more tables in another schema, which MariaDB calls a database."""
    kit = make_kit(request.param)
    name = f"{kit.engine.url.database}_{SCHEMA}"
    with kit.engine.begin() as connection:
        quote = kit.engine.dialect.identifier_preparer.quote_identifier
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        for table in ("alone", "odd one"):
            connection.exec_driver_sql(f"CREATE TABLE {name}.{quote(table)} (id integer)")
    yield kit
    _send(kit, f"DROP SCHEMA {name}{_cascade(kit)}")


def _cascade(kit: Kit) -> str:
    return " CASCADE" if kit.database.dialect == "postgresql" else ""


def _send(kit: Kit, *statements: str) -> None:
    with kit.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _left(kit: Kit, *tables: str) -> list[int]:
    with kit.engine.connect() as connection:
        return [connection.scalar(text(f"SELECT count(*) FROM {each}")) or 0 for each in tables]


def _names(kit: Kit) -> tuple[str, str, str, str]:
    """What leads elsewhere and back, and the two tables."""
    quote = kit.engine.dialect.identifier_preparer.quote_identifier
    database = kit.engine.url.database
    name = f"{database}_{SCHEMA}"
    go = ("SET search_path TO {}", "public") if _cascade(kit) else ("USE {}", database)
    return go[0].format(name), go[0].format(go[1]), f"{name}.alone", f"{name}.{quote('odd one')}"


def test_a_name_that_leads_elsewhere(kit: Kit) -> None:
    """What was written with its schema's name is emptied all the same, and the rest is told."""
    away, back, alone, odd = _names(kit)
    with pytest.warns(errors.SafeSessionWarning, match=r"'_send' .* wrote to 'alone': rows .* may"):
        with CommitIsolation(kit.app):
            _send(kit, f"INSERT INTO {odd} VALUES (1)")
            _send(kit, away, "INSERT INTO alone VALUES (1)", back)
    assert _left(kit, odd, alone) == [0, 1]


def test_names_with_their_schema(kit: Kit) -> None:
    """They are emptied, wherever names are looked up."""
    away, back, alone, odd = _names(kit)
    with CommitIsolation(kit.app):
        _send(kit, away, f"INSERT INTO {odd} VALUES (1)", f"INSERT INTO {alone} VALUES (1)", back)
    assert _left(kit, odd, alone) == [0, 0]


def test_a_table_that_is_gone(kit: Kit) -> None:
    """It is in the way of no other."""
    _, _, alone, odd = _names(kit)
    with CommitIsolation(kit.app):
        _send(kit, f"INSERT INTO {odd} VALUES (1)", f"DROP TABLE {odd}")
        _send(
            kit,
            f"INSERT INTO {alone} VALUES (1)",
            "INSERT INTO item (name, amount) VALUES ('a', 1)",
        )
    assert (kit.names(), _left(kit, alone)) == ([], [0])
