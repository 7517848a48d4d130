"""The same connection through another driver."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url, text

from flask_safesession._async.drivers import find_driver, translate

from ..kit import MakeKit
from .sessions import inner_engine, run, session

PG = "postgresql+psycopg2://me:secret@host:5433/shop"
MY = "mysql+pymysql://me:secret@host/shop?charset=utf8mb4"
LITE = "sqlite:////tmp/shop.db?timeout=5"

SAME = [
    (
        "psycopg",
        f"{PG}?sslmode=require&keepalives=1",
        {"connect_timeout": 3},
        {"connect_timeout": 3},
    ),
    ("aiosqlite", LITE, {"check_same_thread": False}, {"check_same_thread": False}),
    ("asyncmy", f"{MY}&ssl_ca=/ca.pem", {"connect_timeout": 3}, {"connect_timeout": 3}),
    ("aiomysql", MY, {"init_command": "SET a = 1"}, {"init_command": "SET a = 1"}),
    ("asyncpg", f"{PG}?host=/run&port=1", {}, {}),
]
TRANSLATED = [
    ("sslmode=require", {}, {"ssl": "require"}),
    ("connect_timeout=3", {}, {"timeout": 3.0}),
    ("", {"connect_timeout": 3}, {"timeout": 3.0}),
    ("application_name=shop", {}, {"server_settings": {"application_name": "shop"}}),
    (
        "options=-csearch_path%3Da%20-c%20jit%3Doff",
        {},
        {"server_settings": {"search_path": "a", "jit": "off"}},
    ),
    (
        "options=--jit%3Doff",
        {"server_settings": {"a": "b"}},
        {"server_settings": {"a": "b", "jit": "off"}},
    ),
    ("client_encoding=UTF-8", {}, {}),
    ("target_session_attrs=read-write", {}, {"target_session_attrs": "read-write"}),
]
REFUSED = [
    ("asyncpg", f"{PG}?keepalives=1&tcp_user_timeout=9", {}, ["keepalives", "tcp_user_timeout"]),
    ("asyncpg", f"{PG}?client_encoding=latin1", {}, ["client_encoding"]),
    ("psycopg", PG, {"cursor_factory": object, "dsn": ""}, ["cursor_factory", "dsn"]),
    ("asyncmy", f"{MY}&write_timeout=3", {"cursorclass": object}, ["cursorclass", "write_timeout"]),
    ("aiomysql", f"{MY}&ssl_ca=/ca.pem", {}, ["ssl_ca"]),
    ("aiomysql", MY, {"ssl": {"ca": "/ca.pem"}}, ["ssl"]),
]


@pytest.mark.parametrize(("driver", "url", "given", "expected"), SAME)
def test_options_that_are_the_same(driver: str, url: str, given: Any, expected: Any) -> None:
    """What both drivers know goes through."""
    old = make_url(url)
    new, options = translate(driver, old, given)
    assert new == old.set(drivername=f"{old.get_backend_name()}+{driver}")
    assert options == expected


@pytest.mark.parametrize(("query", "given", "expected"), TRANSLATED)
def test_words_of_libpq(query: str, given: Any, expected: Any) -> None:
    """What asyncpg calls by other names."""
    new, options = translate("asyncpg", make_url(f"{PG}?{query}"), given)
    assert (new.query, options) == ({}, expected)


@pytest.mark.parametrize(("driver", "url", "given", "names"), REFUSED)
def test_options_that_mean_nothing(driver: str, url: str, given: Any, names: list[str]) -> None:
    """They would be an error at each connection, or pass in silence."""
    with pytest.raises(ValueError, match="mean nothing to") as caught:
        translate(driver, make_url(url), given)
    assert f"option(s) {', '.join(map(repr, names))}, which" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_driver_without_a_twin() -> None:
    """It has to be named."""
    with pytest.raises(ValueError, match="no async driver is known to take its place"):
        find_driver("mariadbconnector", make_url("mariadb+mariadbconnector://host/shop"))


@pytest.mark.postgresql
def test_the_words_mean_the_same(make_kit: MakeKit) -> None:
    """The server sees what it sees of the blocking driver."""
    arguments = {"connect_timeout": 5, "application_name": "shop", "options": "-c jit=off"}
    kit = make_kit("postgresql-psycopg2", engine_options={"connect_args": arguments})

    async def main() -> list[Any]:
        async with session(kit) as opened:
            return [
                await opened.scalar(text(f"SHOW {name}")) for name in ("application_name", "jit")
            ]

    assert run(kit, main) == ["shop", "off"]
    assert inner_engine(kit).dialect.driver == "asyncpg"
