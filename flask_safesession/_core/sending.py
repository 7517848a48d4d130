"""COMMIT on one connection: how long it may take, what its error means, and what is left when it fails."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from .fate import Ticket, draw_ticket, is_committed
from .ledger import Ledger
from .watchdog import SOCKETS, socket_of, watchdog

__all__ = [
    "LISTEN",
    "ORIGINAL",
    "is_broken",
    "is_commit_error",
    "is_interruption",
    "is_not_stored",
    "lost_in_commit",
    "mark_commit",
    "not_committed",
    "roll_back",
    "seconds_waited",
    "send",
    "watched",
]

LISTEN = "_safesession_listen"
ORIGINAL = "_safesession_do_commit"

_BROKEN = "_safesession_broken"
_IN_COMMIT = "_safesession_in_commit"
_NOT_STORED = "_safesession_not_stored"
_WAITED = "_safesession_waited"


def send(dialect: Dialect, fairy: PoolProxiedConnection, ledger: Ledger) -> None:
    """Send COMMIT, and look up the fate of one whose answer is lost, where the settings ask for it."""
    rules = ledger.rules
    ticket = None if rules.verify_seconds is None else _ticket(dialect, fairy, ledger)
    try:
        if dialect.driver not in SOCKETS:
            vars(dialect)[ORIGINAL](fairy)
        elif watched(vars(dialect)[ORIGINAL], dialect, fairy, rules.commit_timeout):
            _drop(ledger, fairy)
    except BaseException as error:
        not_committed(dialect, fairy, error)
        if ticket is None or not _is_stored(ticket, dialect, fairy, ledger, error):
            raise
        _drop(ledger, fairy)


def not_committed(dialect: Dialect, fairy: PoolProxiedConnection, error: BaseException) -> None:
    """Leave no open transaction behind a COMMIT that raised *error*."""
    mark_commit(error)
    if is_interruption(error):
        # A killed greenlet or Ctrl-C: the reply is still to come, and nothing more can be sent before it.
        vars(error)[_BROKEN] = True
    else:
        roll_back(dialect, fairy, error)


def watched(
    call: Callable[[PoolProxiedConnection], None],
    dialect: Dialect,
    fairy: PoolProxiedConnection,
    seconds: float | None,
) -> bool:
    """Make *call*, and end the connection where there is no answer within *seconds*.

    Returns:
        Whether the connection was ended all the same, as the answer came.
    """
    number = None if seconds is None else socket_of(dialect.driver, fairy.dbapi_connection)
    if seconds is None or number is None:
        call(fairy)
        return False
    try:
        watchdog.watch(fairy, number, seconds)
        call(fairy)
    except BaseException as error:
        if watchdog.release(fairy):
            vars(error)[_WAITED] = seconds
        raise
    return watchdog.release(fairy)


def _ticket(dialect: Dialect, fairy: PoolProxiedConnection, ledger: Ledger) -> Ticket | None:
    try:
        return draw_ticket(dialect, fairy, ledger)
    except Exception as error:
        vars(error)[_NOT_STORED] = True  # COMMIT is not sent
        roll_back(dialect, fairy, error)
        raise


def _is_stored(
    ticket: Ticket,
    dialect: Dialect,
    fairy: PoolProxiedConnection,
    ledger: Ledger,
    error: BaseException,
) -> bool:
    """Whether COMMIT was done all the same; a certain "no" is noted on *error*."""
    base = dialect.loaded_dbapi.Error
    if not (isinstance(error, base) and dialect.is_disconnect(error, fairy, None)):
        return False
    connection = ledger.connection_of(fairy)
    stored = is_committed(ticket, connection.engine, ledger.rules.verify_seconds or 0)
    if stored is False:
        vars(error)[_NOT_STORED] = True
    return bool(stored)


def _drop(ledger: Ledger, fairy: PoolProxiedConnection) -> None:
    """Let nobody use the connection again, whose transaction has ended well."""
    if len(ledger.connections) == 1:
        ledger.connection_of(fairy).invalidate()
    else:  # SQLAlchemy has still to come to it, and refuses to commit one that is gone
        fairy.invalidate(soft=True)


def roll_back(dialect: Dialect, fairy: PoolProxiedConnection, error: BaseException) -> None:
    """Roll back what is left after *error*, which is noted to have broken the connection if that fails."""
    try:
        dialect.do_rollback(fairy)
    except Exception:  # noqa: BLE001 - whatever it is, the connection is not to be used again
        vars(error)[_BROKEN] = True
        # SQLAlchemy does not show an error to "is_disconnect" that is not the driver's own.
        vars(dialect)[LISTEN]()


def is_broken(error: BaseException) -> bool:
    """Whether the rollback that followed *error* failed too, so that the connection must not be used again."""
    return _BROKEN in vars(error)


def is_interruption(error: BaseException) -> bool:
    """Whether *error* comes from outside: a killed or timed-out greenlet, Ctrl-C, the end of the interpreter."""
    return not isinstance(error, Exception)


def mark_commit(error: BaseException) -> None:
    """Note that *error* is the driver's answer to COMMIT, or to a statement that commits by itself."""
    vars(error)[_IN_COMMIT] = True


def is_commit_error(error: BaseException) -> bool:
    """Whether the driver raised *error* as its answer to COMMIT."""
    return _IN_COMMIT in vars(error)


def is_not_stored(error: BaseException) -> bool:
    """Whether *error* came before COMMIT was sent, or the database has said that nothing is stored."""
    return _NOT_STORED in vars(error)


def seconds_waited(error: BaseException) -> float | None:
    """How long COMMIT was waited for before its connection was ended, if that is where *error* comes from."""
    seconds: float | None = vars(getattr(error, "orig", None) or error).get(_WAITED)
    return seconds


def lost_in_commit(error: BaseException) -> bool:
    """Whether *error* is a connection that broke, or an interruption, while COMMIT was under way."""
    if is_interruption(error):
        return is_commit_error(error)
    if not isinstance(error, DBAPIError) or error.orig is None or not error.connection_invalidated:
        return False
    return is_commit_error(error.orig) and not is_not_stored(error.orig)
