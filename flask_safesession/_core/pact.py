"""Two-phase commit: every database promises before the first one commits, and a crash leaves what can be finished.

The first part is the record of the decision. It is prepared first, committed first and rolled back last: while it is
prepared, no other part is committed; once it is gone and others are left, they are to be committed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import cast

from sqlalchemy import URL, Connection, Engine, TwoPhaseTransaction
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from .. import errors
from .commit import wrapped
from .ledger import Ledger
from .notes import add_note
from .sending import is_interruption, mark_commit, watched

__all__ = ["ORIGINAL_OF", "Pact", "Part", "address_digest", "database_digest", "read_part"]

ORIGINAL_OF = "_safesession_do_"
_MARIADB, _MYSQL = (10, 5), (5, 7, 7)
_PART = re.compile(r"safesession:([0-9a-f]{8})([0-9a-f]{12}):(\d+):([0-9a-f]{8}):([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Part:
    """What the id of a prepared transaction tells.

    Attributes:
        transaction: What all parts of one transaction have in common.
        begun: When it began, in seconds since 1970.
        number: 1 for the part that is prepared and committed first.
        first: The digest of that part's server and database.
        database: The digest of the name of its own database.
    """

    transaction: str
    begun: int
    number: int
    first: str
    database: str


def read_part(gid: str) -> Part | None:
    """What *gid* tells; None if this package has not made it."""
    found = _PART.fullmatch(gid)
    if found is None:
        return None
    begun, rest, number, first, database = found.groups()
    return Part(begun + rest, int(begun, 16), int(number), first, database)


def address_digest(url: URL) -> str:
    """A short name of the server and the database behind *url*, the same for all users and drivers."""
    return _digest(f"{url.host}:{url.port}/{url.database}")


def database_digest(url: URL) -> str:
    """A short name of the database behind *url*, whatever its server is called."""
    return _digest(str(url.database))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


class Pact:
    """One transaction in several parts.

    Attributes:
        prepared: The parts that have promised to commit, in the order in which they joined.
        over: The parts that are committed, rolled back, or left to ``flask safesession prepared``.
    """

    def __init__(self) -> None:
        self.transaction: str = f"{int(time()):08x}{secrets.token_hex(6)}"
        self.prepared: list[Connection] = []
        self.over: set[Connection] = set()
        self._first = ""
        self._count = 0

    def name_part(self, engine: Engine) -> str:
        """The id of the part on *engine*, which MariaDB wants to know before the first statement.

        Raises:
            NotImplementedError: If the server would roll a prepared part back as soon as its connection ends.
        """
        _check_version(engine.dialect)
        self._first = self._first or address_digest(engine.url)
        self._count += 1
        own = database_digest(engine.url)
        return f"safesession:{self.transaction}:{self._count}:{self._first}:{own}"

    def prepare(self, ledger: Ledger) -> None:
        """Let each part promise; where one does not, none is stored."""
        for connection in ledger.connections:
            try:
                _do(connection, "prepare_twophase", ledger)
            except BaseException as error:
                meaning = wrapped(connection, error)
                connection.invalidate(error)  # its driver takes it for prepared
                self._take_back(meaning)
                if meaning is error:
                    raise
                raise meaning from error
            self.prepared.append(connection)

    def roll_back(self) -> None:
        """Take the promises back, the first part's last."""
        while self.prepared:
            connection = self.prepared.pop()
            self.over.add(connection)
            try:
                _do(connection, "rollback_twophase")
            except BaseException:
                self._leave([connection, *self.prepared])
                raise

    def _take_back(self, error: BaseException) -> None:
        broke = isinstance(error, DBAPIError) and error.connection_invalidated
        if broke or is_interruption(error):
            # The part that broke may be prepared too, and without the first would look like one to be committed.
            self._leave(self.prepared)
            add_note(error, f"Prepared parts may be left. {self._advice}")
        else:
            self.roll_back()

    def commit(self, ledger: Ledger) -> None:
        """Commit the first part, and with it the transaction; then the others.

        Raises:
            PartialCommitError: If one of them could not be committed. It stays prepared.
        """
        ledger.sent = True
        parts, self.prepared = self.prepared, []
        self.over.update(parts)
        left, failures = list(parts), list[BaseException]()
        for connection in parts:
            try:
                _do(connection, "commit_twophase", ledger)
                left.remove(connection)
            except BaseException as error:  # noqa: BLE001 - what this raises explains it
                failures.append(wrapped(connection, error))
                if connection is parts[0] or is_interruption(error):
                    break
        ledger.stored = not left
        if left:
            self._leave(left)
            partial = self._partial(ledger, parts, left)
            if is_interruption(failures[-1]):
                mark_commit(failures[-1])
                add_note(failures[-1], str(partial))
                raise failures[-1]
            raise partial from failures[0]

    def _partial(
        self, ledger: Ledger, parts: list[Connection], left: list[Connection]
    ) -> errors.PartialCommitError:
        names = {each: ledger.rules.engine_name(each.engine) for each in parts}
        stored = [name for each, name in names.items() if each not in left]
        unknown = [names[each] for each in left]
        return errors.PartialCommitError(
            f"The COMMIT of a prepared transaction failed on '{unknown[0]}'. Stored on: {', '.join(stored) or 'none'}. "
            f"Prepared, and waiting: {', '.join(unknown)}. {self._advice}",
            stored=stored,
            unknown=unknown,
        )

    def _leave(self, connections: list[Connection]) -> None:
        self.prepared, self.over = [], self.over.union(connections)
        for connection in connections:
            connection.invalidate()  # MariaDB lets nobody else end the part before

    @property
    def _advice(self) -> str:
        return (
            f"'flask safesession prepared' tells whether the parts of {self.transaction} are to be committed or rolled "
            "back, and does it with '--finish'."
        )


def _check_version(dialect: Dialect) -> None:
    if dialect.name == "postgresql":
        return
    needed = _MARIADB if getattr(dialect, "is_mariadb", False) else _MYSQL
    if (dialect.server_version_info or ()) < needed:
        raise NotImplementedError(
            "'SAFESESSION_TWOPHASE' needs MariaDB 10.5 or MySQL 5.7.7: an older server rolls a prepared transaction "
            "back when its connection ends, also one that is to be committed. Set it to False, or update the server."
        )


def _do(connection: Connection, what: str, ledger: Ledger | None = None) -> None:
    """Call the dialect's own method for the part on *connection*, within the time limit of a COMMIT."""
    call: Callable[[Connection, str], None] = vars(connection.dialect)[f"{ORIGINAL_OF}{what}"]
    gid: str = cast(TwoPhaseTransaction, connection.get_transaction()).xid
    fairy = connection.connection
    seconds = None if ledger is None else ledger.rules.commit_timeout
    if watched(lambda _: call(connection, gid), connection.dialect, fairy, seconds):
        fairy.invalidate(soft=True)
