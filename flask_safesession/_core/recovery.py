"""Prepared transactions that nobody has ended: what is to become of them, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine

from .pact import Part, address_digest, database_digest, read_part

__all__ = ["Decision", "Leftover", "find_prepared", "finish"]

Decision = Literal["commit", "rollback", "unknown"]

_POSTGRESQL = (
    "SELECT gid, extract(epoch FROM now() - prepared) FROM pg_prepared_xacts"
    " WHERE database = current_database()"
)


@dataclass(frozen=True)
class Leftover:
    """A transaction of which parts are prepared.

    Attributes:
        transaction: Its id.
        seconds: How long ago it was prepared; on MariaDB and MySQL, which do not tell, how long ago it began.
        parts: The prepared parts, in the order in which they commit: the id of each, and the name of its engine.
        decision: What is right to do. ``"rollback"`` while the first part is prepared: nothing is committed before it.
            ``"commit"`` where it is not: it has been committed. ``"unknown"`` where the first part's database is not
            among those that were asked.
    """

    transaction: str
    seconds: int
    parts: tuple[tuple[str, str], ...]
    decision: Decision


def find_prepared(engines: Mapping[str, Engine], now: float) -> list[Leftover]:
    """What this package has prepared on *engines*, the oldest first.

    Args:
        engines: All databases of the app, by name.
        now: The time, in seconds since 1970.
    """
    found: dict[str, list[_Prepared]] = {}
    for name, engine in engines.items():
        for each in _prepared(name, engine, now):
            found.setdefault(each.part.transaction, []).append(each)
    asked = {address_digest(engine.url) for engine in engines.values()}
    leftovers = [_leftover(sorted(each, key=_number), asked) for each in found.values()]
    return sorted(leftovers, key=lambda each: -each.seconds)


class _Prepared(NamedTuple):
    gid: str
    part: Part
    name: str
    seconds: int


def _number(prepared: _Prepared) -> int:
    return prepared.part.number


def _leftover(parts: list[_Prepared], asked: set[str]) -> Leftover:
    first = parts[0].part
    decision: Decision = "rollback" if first.number == 1 else "commit"
    return Leftover(
        first.transaction,
        min(each.seconds for each in parts),
        tuple((each.gid, each.name) for each in parts),
        decision if first.first in asked else "unknown",
    )


def _prepared(name: str, engine: Engine, now: float) -> Iterator[_Prepared]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            for gid, seconds in connection.exec_driver_sql(_POSTGRESQL):
                if (part := read_part(gid)) is not None:
                    yield _Prepared(gid, part, name, int(seconds))
        elif engine.dialect.name in ("mysql", "mariadb"):
            own = database_digest(engine.url)
            for gid in map(_gid, connection.exec_driver_sql("XA RECOVER")):
                # The server lists those of all its databases.
                if (part := read_part(gid)) is not None and part.database == own:
                    yield _Prepared(gid, part, name, int(now) - part.begun)


def _gid(row: Any) -> str:
    data = row[3][: row[1]]
    return data if isinstance(data, str) else bytes(data).decode("ascii", "replace")


def finish(leftover: Leftover, engines: Mapping[str, Engine], decision: Decision) -> None:
    """Commit the parts of *leftover*, or roll them back, the first part last: it tells what to do until then."""
    parts = leftover.parts if decision == "commit" else leftover.parts[::-1]
    for gid, name in parts:
        engine = engines[name]
        verb = _VERBS[engine.dialect.name](decision.upper())
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"{verb} '{gid}'")


_VERBS: Mapping[str, Callable[[str], str]] = {
    "postgresql": "{} PREPARED".format,
    "mysql": "XA {}".format,
    "mariadb": "XA {}".format,
}
