"""From a driver that blocks to one that waits in an event loop: which it is, and what the same options are to it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL

__all__ = ["find_driver", "translate"]

# The first that is installed is taken.
_DRIVERS: Mapping[str, tuple[str, ...]] = {
    "psycopg": ("psycopg",),
    "psycopg2": ("asyncpg", "psycopg"),
    "pysqlite": ("aiosqlite",),
    "pymysql": ("asyncmy", "aiomysql"),
    "mysqldb": ("asyncmy", "aiomysql"),
}

# They take what their blocking twins take: libpq's options, or those of sqlite3.
_ALIKE = {"psycopg", "aiosqlite"}
# But no class of those, and no other way to say what the URL says.
_NOT_ALIKE = {"async", "async_", "connection_factory", "cursor_factory", "cursorclass", "dsn"}
# SQLAlchemy itself reads these in a URL.
_OF_SQLALCHEMY = {"host", "port", "prepared_statement_cache_size"}

Options = dict[str, Any]


def find_driver(driver: str, url: URL) -> str:
    """The async driver that takes the place of *driver*, by which an engine reaches *url*.

    Raises:
        ValueError: If there is none, or none is installed.
    """
    wanted = _DRIVERS.get(driver)
    if wanted is None:
        raise ValueError(
            f"The app reaches '{url}' by '{driver}', and no async driver is known to take its place. Name one: "
            "'SAFESESSION_ASYNC_ENGINES = {None: \"<dialect>+<async driver>://…\"}'."
        )
    found = next((name for name in wanted if find_spec(name) is not None), None)
    if found is None:
        raise ValueError(
            f"The app reaches '{url}' by '{driver}', and no async driver that takes its place is installed. Install "
            f"{' or '.join(map(repr, wanted))}, such as with 'pip install {wanted[0]}'."
        )
    return found


def translate(driver: str, url: URL, connect_args: Mapping[str, Any]) -> tuple[URL, Options]:
    """The URL and ``connect_args`` with which the async *driver* gets the connection that a blocking one got.

    Raises:
        ValueError: If one of them means nothing to it.
    """
    given = dict(connect_args)
    if driver == "asyncpg":
        kept = {name: value for name, value in url.query.items() if name in _OF_SQLALCHEMY}
        given = _words_of_asyncpg({**url.query, **given})
        given = {name: value for name, value in given.items() if name not in kept}
        url = url.set(query=kept)
    _check(driver, url, given)
    return url.set(drivername=f"{url.get_backend_name()}+{driver}"), given


def _check(driver: str, url: URL, given: Options) -> None:
    names = [*url.query, *given]
    unknown = [name for name in names if name in _NOT_ALIKE]
    if driver not in _ALIKE:
        known = inspect.signature(importlib.import_module(driver).connect).parameters
        # SQLAlchemy makes of 'ssl_ca' and its like in a URL a dict, as which only asyncmy takes it.
        secured = [name for name in url.query if name.startswith("ssl_") and driver == "asyncmy"]
        allowed = {*known, *_OF_SQLALCHEMY, *secured}
        unknown += [name for name in names if name not in allowed and name not in unknown]
        if driver == "aiomysql" and isinstance(given.get("ssl"), dict):
            unknown.append("ssl")
    if unknown:
        raise ValueError(
            f"'{url}' is reached with the option(s) {', '.join(map(repr, unknown))}, which mean nothing to '{driver}', "
            "the async driver that takes the place of the app's own. Give its own options instead: "
            '\'SAFESESSION_ASYNC_ENGINES = {None: {"url": "…", "connect_args": {…}}}\'.'
        )


def _words_of_asyncpg(given: Options) -> Options:
    """What was said in the words of libpq; see PostgreSQL, "Parameter Key Words"."""
    options = dict(given)
    settings: dict[str, str] = dict(options.pop("server_settings", {}))
    if "application_name" in options:
        settings["application_name"] = options.pop("application_name")
    if "options" in options:
        settings.update(_settings(options.pop("options")))
    if "connect_timeout" in options:
        options["timeout"] = float(options.pop("connect_timeout"))
    if "sslmode" in options:
        options["ssl"] = options.pop("sslmode")
    if str(options.get("client_encoding", "")).lower().replace("-", "") == "utf8":
        del options["client_encoding"]  # it knows no other
    return {**options, "server_settings": settings} if settings else options


def _settings(options: str) -> Options:
    """What ``-c name=value`` sets."""
    words = options.replace("-c ", "-c").split()
    pairs = (word.removeprefix("-c").removeprefix("--").partition("=") for word in words)
    return {name: value for name, _, value in pairs}
