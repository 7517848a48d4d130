"""Nobody but its owner ends a transaction: which calls are refused, in which mode, and in which words."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, OperationalError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from flask_safesession import (
    SafeSession,
    current_scope,
    on_commit,
    on_rollback,
    session_manager,
)
from flask_safesession.errors import (
    OwnershipWarning,
    SafeSessionWarning,
    TransactionOwnershipError,
    UnexpectedRollbackError,
)

from .databases import Database
from .kit import Kit, MakeKit


def _enter(block: Any) -> None:
    with block:
        pass


Call = Callable[[Any], Any]

# What somebody may do to a `db.session`, by the name that the message gives to it.
CALLS: dict[str, tuple[str, Call]] = {
    "commit": ("commit", lambda session: session.commit()),
    "rollback": ("rollback", lambda session: session.rollback()),
    "close": ("close", lambda session: session.close()),
    "begin": ("begin", lambda session: session.begin()),
    "prepare": ("prepare", lambda session: session().prepare()),
    "reset": ("reset", lambda session: session.reset()),
    "invalidate": ("invalidate", lambda session: session().invalidate()),
    "remove": ("remove", lambda session: session.remove()),
    "with session": ("close", lambda session: _enter(session())),
    "with begin": ("begin", lambda session: _enter(session.begin())),
    "connection.commit": ("commit", lambda session: session.connection().commit()),
    "connection.rollback": ("rollback", lambda session: session.connection().rollback()),
    "connection.close": ("close", lambda session: session.connection().close()),
    "with connection": ("close", lambda session: _enter(session.connection())),
    "transaction.commit": ("commit", lambda session: session().get_transaction().commit()),
    "transaction.rollback": ("rollback", lambda session: session().get_transaction().rollback()),
    "transaction.close": ("close", lambda session: session().get_transaction().close()),
    # SQLAlchemy answers a failed commit of such a block with a rollback, whose refusal is the last.
    "with transaction": (
        "(commit|rollback)",
        lambda session: _enter(session().get_transaction()),
    ),
}

each_call = pytest.mark.parametrize(("name", "call"), CALLS.values(), ids=CALLS)


def _only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", [CALLS[each][1] for each in names], ids=names)


@each_call
def test_a_call_that_would_end_the_transaction_is_refused(kit: Kit, name: str, call: Call) -> None:
    """The error comes from the line of the call, and the scope commits afterwards as if nothing was."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="before"))
        with pytest.raises(TransactionOwnershipError, match=rf"called '{name}\(\)'"):
            call(kit.db.session)
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


@each_call
def test_a_refused_call_that_is_let_out_rolls_back(sqlite_kit: Kit, name: str, call: Call) -> None:
    """Nothing of the transaction is stored."""
    with sqlite_kit.app.app_context():
        with pytest.raises(TransactionOwnershipError), session_manager() as session:
            session.add(sqlite_kit.Item(name="lost"))
            call(sqlite_kit.db.session)
        assert not sqlite_kit.db.session().in_transaction()
    assert sqlite_kit.names() == []


@pytest.mark.parametrize("name", [each for each in CALLS if each != "prepare"])
def test_a_call_is_allowed_where_nobody_owns_the_transaction(sqlite_kit: Kit, name: str) -> None:
    """Hand-written transactions of the same app stay as they are, after a scope too."""
    with sqlite_kit.app.app_context():
        with session_manager():
            pass
        session = sqlite_kit.db.session
        if "begin" not in name:
            session.execute(select(sqlite_kit.Item))
        CALLS[name][1](session)
        session.remove()
    assert sqlite_kit.checkedout() == 0


def _service(session: Any) -> None:
    session.commit()


def test_the_message_names_the_call_and_both_places(sqlite_kit: Kit) -> None:
    """Fact, cause in this program, call to make: with the file and line of the call and of the owner."""
    with sqlite_kit.app.app_context():
        manager = session_manager(name="create_schedule")
        with manager, pytest.raises(TransactionOwnershipError) as caught:
            _service(sqlite_kit.db.session)
    here = Path(__file__).name
    call, owner = _service.__code__.co_firstlineno + 1, manager._place.line
    text = str(caught.value).replace(f"tests/{here}", here)
    assert text == (
        f"'_service' called 'commit()' ({here}:{call}) inside the transaction that 'create_schedule' "
        f"owns ({here}:{owner}). Call 'flush()' here, or let '_service' open its own transaction with "
        "'session_manager(propagation=\"requires_new\")'."
    )


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("begin", "Call 'begin_nested()' here"),
        ("commit", "Call 'flush()' here"),
        ("prepare", "Call 'flush()' here"),
        ("rollback", "Raise an exception, or call 'current_scope().set_rollback_only()' here"),
        ("invalidate", "Raise an exception, or call 'current_scope().set_rollback_only()' here"),
        ("close", "Leave that to the owner here"),
    ],
)
def test_the_message_says_what_to_call_instead(sqlite_kit: Kit, call: str, instead: str) -> None:
    """Each call has its own advice."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(TransactionOwnershipError) as caught:
            CALLS[call][1](sqlite_kit.db.session)
    assert instead in str(caught.value)


def test_every_way_of_having_sessions_is_guarded(any_kit: Kit) -> None:
    """Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, a sessionmaker and a scoped session."""
    with any_kit.app.app_context(), any_kit.safe.session_manager() as session:
        session.add(any_kit.Item(name="kept"))
        with pytest.raises(TransactionOwnershipError):
            any_kit.session().commit()
        with pytest.raises(TransactionOwnershipError):
            session.rollback()
    assert any_kit.names() == ["kept"]


def test_a_call_in_a_joined_scope_is_refused_too(sqlite_kit: Kit) -> None:
    """The inner scope does not own the transaction, and the message names the outer one."""
    with sqlite_kit.app.app_context(), session_manager(name="outer"):
        with session_manager(name="inner") as session:
            with pytest.raises(TransactionOwnershipError, match="'outer' owns"):
                session.commit()


def test_a_call_in_a_nested_scope_is_refused_too(kit: Kit) -> None:
    """Not even the savepoint's scope may end the transaction around it."""
    with kit.app.app_context(), session_manager(name="outer"):
        with session_manager(propagation="nested") as session:
            session.add(kit.Item(name="kept"))
            with pytest.raises(TransactionOwnershipError, match="'outer' owns"):
                session.commit()
    assert kit.names() == ["kept"]


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("begin", "remove the call, or call 'begin_nested()'."),
        ("commit", "remove the call, or call 'flush()'."),
        ("rollback", "remove the call, or call 'current_scope().set_rollback_only()'."),
        ("close", "remove the call."),
    ],
)
def test_the_owner_itself_does_not_end_it_by_hand_either(
    sqlite_kit: Kit, call: str, instead: str
) -> None:
    """The block ends the transaction, nothing in it does; nobody is told to open one of his own."""
    with sqlite_kit.app.app_context(), session_manager(name="mine") as session:
        with pytest.raises(TransactionOwnershipError, match=f"'{call}.*that 'mine' owns") as caught:
            getattr(session, call)()
    assert str(caught.value).endswith(
        "The scope commits at the end of its block, and rolls back when an exception leaves it: "
        + instead
    )


def test_savepoints_stay_allowed(kit: Kit) -> None:
    """A savepoint belongs to whoever began it: its commit and its rollback are nobody else's."""
    with kit.app.app_context(), session_manager() as session:
        kept = session.begin_nested()
        session.add(kit.Item(name="kept"))
        kept.commit()
        dropped = session.begin_nested()
        session.add(kit.Item(name="dropped"))
        dropped.rollback()
    assert kit.names() == ["kept"]


def test_savepoints_stay_allowed_as_blocks(kit: Kit) -> None:
    """``with session.begin_nested():`` and an exception that is caught around it."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="first"))
        session.flush()
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(kit.Item(name="first"))
        with session.begin_nested():
            session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


def test_a_savepoint_may_be_begun_with_the_argument_of_begin(sqlite_kit: Kit) -> None:
    """``session.begin(nested=True)`` is ``begin_nested()``."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        with session.begin(nested=True):
            session.add(sqlite_kit.Item(name="kept"))
    assert sqlite_kit.names() == ["kept"]


def test_flush_stays_allowed(kit: Kit) -> None:
    """A service flushes to get its keys."""
    with kit.app.app_context(), session_manager() as session:
        item = kit.Item(name="flushed")
        session.add(item)
        kit.db.session.flush()
        assert item.id is not None
    assert kit.names() == ["flushed"]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_ending_the_transaction_of_the_connection_is_found(kit: Kit, end: str) -> None:
    """SQLAlchemy hands out the connection's own transaction; the owner learns that it was ended."""
    with kit.app.app_context():
        with pytest.raises(TransactionOwnershipError, match="ended by somebody else"):
            with session_manager() as session:
                session.add(kit.Item(name="first"))
                session.flush()
                transaction = session.connection().get_transaction()
                assert transaction is not None
                getattr(transaction, end)()
        assert not kit.db.session().in_transaction()
    assert kit.checkedout() == 0


# The ways to send SQL by hand inside a scope.
Send = Callable[[Any, str], Any]
SENDERS: dict[str, Send] = {
    "execute": lambda session, sql: session.execute(text(sql)),
    "scalar": lambda session, sql: session.scalar(text(sql)),
    "scalars": lambda session, sql: session.scalars(text(sql)),
    "connection": lambda session, sql: session.connection().execute(text(sql)),
    "driver": lambda session, sql: session.connection().exec_driver_sql(sql),
}

each_sender = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
# The others ask COMMIT for rows when it is done.
each_free_sender = pytest.mark.parametrize(
    "send", [SENDERS[each] for each in ("execute", "connection", "driver")]
)


@each_sender
def test_sql_that_would_end_the_transaction_is_refused(kit: Kit, send: Send) -> None:
    """Stock sessions pass it on, and what came before it is stored, or lost, past the session."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="before"))
        session.flush()
        with pytest.raises(TransactionOwnershipError, match=r"sent 'COMMIT'.*Call 'flush"):
            send(kit.db.session, "COMMIT")
        assert kit.names() == []
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


@pytest.mark.parametrize("sql", ["commit;", "\n end", "ABORT", "Rollback WORK", "COMMIT AND CHAIN"])
def test_such_sql_is_known_by_its_first_word(sqlite_kit: Kit, sql: str) -> None:
    """The message quotes that word as the caller wrote it."""
    word = sql.strip(" ;\n").partition(" ")[0]
    with sqlite_kit.app.app_context(), session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=f"sent '{word}'"):
            session.execute(text(sql))


@pytest.mark.parametrize("sql", ["BEGIN", "START TRANSACTION"])
def test_sql_that_would_begin_another_transaction_is_refused(kit: Kit, sql: str) -> None:
    """MariaDB commits the open one first, PostgreSQL tells nobody but its log; SQLite refuses it by itself."""
    refusal = OperationalError if kit.database.dialect == "sqlite" else TransactionOwnershipError
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="kept"))
        session.flush()
        with pytest.raises(refusal):
            session.execute(text(sql))
        assert kit.names() == []
    assert kit.names() == ["kept"]


def test_begin_may_come_first(kit: Kit) -> None:
    """``BEGIN IMMEDIATE`` of SQLite and ``START TRANSACTION WITH CONSISTENT SNAPSHOT`` of MariaDB have their uses."""
    sql = "BEGIN IMMEDIATE" if kit.database.dialect == "sqlite" else "BEGIN"
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            session.execute(text(sql))
            session.add(kit.Item(name="lost"))
            session.flush()
            raise KeyError
    assert kit.names() == []


def test_savepoints_may_be_sent_as_sql(kit: Kit) -> None:
    """They end nothing that belongs to somebody else."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="kept"))
        session.flush()
        session.execute(text("SAVEPOINT mine"))
        session.add(kit.Item(name="undone"))
        session.flush()
        session.execute(text("ROLLBACK TO SAVEPOINT mine"))
        session.expunge_all()
    assert kit.names() == ["kept"]


def test_a_transaction_of_ones_own_may_be_ended_by_sql(kit: Kit) -> None:
    """Where no scope is open, nothing is guarded; a connection that was taken in a scope included."""
    with kit.app.app_context():
        with session_manager() as session:
            session.connection()
        session.add(kit.Item(name="kept"))
        session.flush()
        session.connection().execute(text("COMMIT"))
        assert kit.names() == ["kept"]
        session.commit()


@pytest.fixture
def mode_kit(make_kit: MakeKit, mode: str) -> Kit:
    """A kit on a SQLite file with the ownership mode of the test."""
    return make_kit(options={"ownership": mode})


def _spoil(kit: Kit, call: Call) -> None:
    """Add a row, let a service make *call*, add another, and fail."""
    with pytest.raises(KeyError), session_manager() as session:
        session.add(kit.Item(name="before"))
        session.flush()
        call(kit.db.session)
        kit.db.session.add(kit.Item(name="after"))
        kit.db.session.flush()
        raise KeyError


@pytest.mark.parametrize("mode", ["off"])
@_only("commit", "connection.commit", "transaction.commit")
def test_off_lets_a_commit_through(mode_kit: Kit, call: Call) -> None:
    """What came before it is stored whatever the owner does; the scope goes on with what comes later."""
    with mode_kit.app.app_context():
        if call is CALLS["connection.commit"][1]:
            with pytest.raises(TransactionOwnershipError), session_manager() as session:
                session.add(mode_kit.Item(name="before"))
                session.flush()
                call(mode_kit.db.session)
        else:
            _spoil(mode_kit, call)
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["off"])
@_only("rollback", "close", "remove", "reset", "invalidate", "transaction.rollback")
def test_off_lets_a_rollback_through(mode_kit: Kit, call: Call) -> None:
    """What came before it is gone, and the scope commits what comes later."""
    with mode_kit.app.app_context(), session_manager() as session:
        session.add(mode_kit.Item(name="before"))
        session.flush()
        call(mode_kit.db.session)
        mode_kit.db.session.add(mode_kit.Item(name="after"))
        assert mode_kit.db.session() is session
    assert mode_kit.names() == ["after"]


@pytest.mark.parametrize("mode", ["off"])
@each_free_sender
def test_off_lets_sql_through(mode_kit: Kit, send: Send) -> None:
    """What came before it is stored whatever the owner does."""
    with mode_kit.app.app_context():
        _spoil(mode_kit, lambda session: send(session, "COMMIT"))
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["warn"])
@each_free_sender
def test_warn_warns_once_of_sql_and_sends_it(mode_kit: Kit, send: Send) -> None:
    """The statement goes through the session and its connection, and is told of once."""
    with mode_kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _spoil(mode_kit, lambda session: send(session, "COMMIT"))
    assert [each.category for each in caught] == [OwnershipWarning]
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["defer"])
@each_sender
def test_defer_makes_sql_harmless(mode_kit: Kit, send: Send) -> None:
    """COMMIT is a flush, and ROLLBACK lets the owner roll back."""
    with mode_kit.app.app_context():
        _spoil(mode_kit, lambda session: send(session, "COMMIT"))
        with pytest.raises(UnexpectedRollbackError, match="A service asked for a rollback"):
            with session_manager() as session:
                session.add(mode_kit.Item(name="lost"))
                send(session, "ROLLBACK")
    assert mode_kit.names() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", ["defer"])
def test_defer_ignores_begin(make_kit: MakeKit, mode: str) -> None:
    """The transaction has begun."""
    kit = make_kit("postgresql-psycopg", options={"ownership": mode})
    with kit.app.app_context():
        with pytest.raises(KeyError), session_manager() as session:
            session.add(kit.Item(name="lost"))
            session.flush()
            session.execute(text("BEGIN"))
            raise KeyError
    assert kit.names() == []


@pytest.mark.parametrize("mode", ["off"])
def test_off_leaves_sqlalchemys_own_refusal_of_begin(mode_kit: Kit) -> None:
    """A second ``begin()`` is an error of SQLAlchemy, and is again."""
    with mode_kit.app.app_context(), session_manager() as session:
        with pytest.raises(InvalidRequestError, match="already begun"):
            session.begin()


@pytest.mark.parametrize("mode", ["warn"])
def test_warn_warns_and_does_it(mode_kit: Kit) -> None:
    """The commit happens, and the warning says what the error would have said."""
    with mode_kit.app.app_context():
        with pytest.warns(OwnershipWarning, match=r"called 'commit\(\)'.*Call 'flush\(\)'"):
            _spoil(mode_kit, CALLS["commit"][1])
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["warn"])
@each_call
def test_warn_points_at_the_line_of_the_call(mode_kit: Kit, name: str, call: Call) -> None:
    """The warning's file and line are the caller's, not this package's nor SQLAlchemy's."""
    with mode_kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError), session_manager() as session:
            try:
                call(mode_kit.db.session)
            finally:
                session.rollback()
                raise RuntimeError
    first = next(each for each in caught if issubclass(each.category, SafeSessionWarning))
    assert re.search(rf"'{name}\(\)'", str(first.message))
    assert (first.filename, first.lineno) in {
        (__file__, call.__code__.co_firstlineno),
        (__file__, call.__code__.co_firstlineno + 1),
        (__file__, _enter.__code__.co_firstlineno + 1),
    }


@pytest.mark.parametrize("mode", ["warn"])
def test_warn_warns_once_per_place(mode_kit: Kit) -> None:
    """Under Python's default filter the second call from the same line is silent."""
    with mode_kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            with session_manager(name="loop"):
                _service(mode_kit.db.session)
        with session_manager(name="loop") as session:
            session.commit()
    lines = [each.lineno for each in caught]
    assert len(lines) == 2
    assert lines[0] == _service.__code__.co_firstlineno + 1


@pytest.mark.parametrize("mode", ["warn"])
def test_hooks_run_with_the_commit_that_was_let_through(mode_kit: Kit) -> None:
    """They waited for that transaction, and not for the one that the scope goes on with."""
    ran: list[str] = []
    with mode_kit.app.app_context(), session_manager() as session:
        on_commit(ran.append, "first")
        with pytest.warns(OwnershipWarning):
            session.commit()
        assert ran == ["first"]
        session.execute(select(mode_kit.Item))
        on_commit(ran.append, "second")
    assert ran == ["first", "second"]


@pytest.mark.parametrize("mode", ["off"])
@_only("rollback", "close", "reset", "invalidate")
def test_hooks_of_a_rollback_run_where_it_was_let_through(mode_kit: Kit, call: Call) -> None:
    """The ``on_commit`` hooks of what was rolled back never run."""
    ran: list[str] = []
    with mode_kit.app.app_context(), session_manager() as session:
        session.execute(select(mode_kit.Item))
        on_commit(ran.append, "committed")
        on_rollback(ran.append, "rolled back")
        call(mode_kit.db.session)
        assert ran == ["rolled back"]
    assert ran == ["rolled back"]


@pytest.mark.parametrize("mode", ["defer"])
@_only("commit", "prepare", "connection.commit", "transaction.commit", "with transaction")
def test_defer_makes_a_commit_a_flush(mode_kit: Kit, call: Call) -> None:
    """The keys are there, and nothing is stored until the owner commits."""
    with mode_kit.app.app_context():
        with session_manager() as session:
            item = mode_kit.Item(name="kept")
            session.add(item)
            call(mode_kit.db.session)
            assert item.id is not None
            assert mode_kit.names() == []
        assert mode_kit.names() == ["kept"]
        _spoil(mode_kit, call)
    assert mode_kit.names() == ["kept"]


@pytest.mark.parametrize("mode", ["defer"])
@_only("rollback", "invalidate", "connection.rollback", "transaction.rollback")
def test_defer_makes_a_rollback_rollback_only(mode_kit: Kit, call: Call) -> None:
    """Nothing is lost in silence: the owner gets the error where it wanted to commit."""
    with mode_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="A service asked for a rollback"):
            with session_manager() as session:
                session.add(mode_kit.Item(name="lost"))
                call(mode_kit.db.session)
                session.add(mode_kit.Item(name="lost too"))
                session.flush()
    assert mode_kit.names() == []


@pytest.mark.parametrize("mode", ["defer"])
@_only("close", "remove", "reset", "with session", "connection.close", "transaction.close")
def test_defer_makes_a_close_nothing(mode_kit: Kit, call: Call) -> None:
    """The session stays the same, with all that is in it."""
    with mode_kit.app.app_context(), session_manager() as session:
        item = mode_kit.Item(name="kept")
        session.add(item)
        call(mode_kit.db.session)
        assert mode_kit.db.session() is session
        assert item in session
    assert mode_kit.names() == ["kept"]


@pytest.mark.parametrize("mode", ["defer"])
def test_defer_makes_a_begin_a_savepoint(mode_kit: Kit) -> None:
    """The failure of such a block undoes what the block did, as its author expected."""
    with mode_kit.app.app_context(), session_manager() as session:
        session.add(mode_kit.Item(name="outer"))
        with session.begin():
            session.add(mode_kit.Item(name="kept"))
        with pytest.raises(KeyError), session.begin():
            session.add(mode_kit.Item(name="dropped"))
            raise KeyError
    assert mode_kit.names() == ["kept", "outer"]


class Library(Protocol):
    """A third-party package that ends transactions."""

    def end(self, session: Any, call: str) -> None:
        """Call the method named *call*."""


@contextmanager
def made_modules(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> Iterator[Callable[[str], ModuleType]]:
    """Third-party modules of one line of *code*, made in *path* when their dotted name is asked for."""
    monkeypatch.syspath_prepend(path)
    made: set[str] = set()

    def make(name: str) -> ModuleType:
        *packages, module = name.split(".")
        made.update(".".join((*packages, module)[: at + 1]) for at in range(len(packages) + 1))
        folder = path
        for at, each in enumerate(packages):
            folder /= each
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
            monkeypatch.delitem(sys.modules, ".".join(packages[: at + 1]), raising=False)
        (folder / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], ModuleType]]:
    """Third-party modules, made when their dotted name is asked for."""
    code = "def end(session, call): getattr(session, call)()\n"
    with made_modules(tmp_path, monkeypatch, code) as make:
        yield make


@pytest.mark.parametrize(
    ("modules", "module", "stored"),
    [
        ({"safeshop": "off"}, "safeshop.models", ["item"]),
        ({"safeshop": "off"}, "safeshop.deep.down.models", ["item"]),
        ({"safeshop": "defer"}, "safeshop.models", []),
        ({"safeshop": "off", "safeshop.models": "defer"}, "safeshop.models", []),
        ({"safeshop": "defer", "safeshop.models": "off"}, "safeshop.models", ["item"]),
        ({"safeshop": "defer", "safeshop.other": "off"}, "safeshop.models", []),
        ({"safeshop_models": "off"}, "safeshop_models", ["item"]),
    ],
)
def test_the_mode_goes_by_the_calling_package(
    make_kit: MakeKit,
    libraries: Callable[[str], Any],
    modules: dict[str, str],
    module: str,
    stored: list[str],
) -> None:
    """The longest name that is set for the calling module counts, and the owner then fails."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": modules})
    library = libraries(module)
    with kit.app.app_context(), pytest.raises(KeyError), session_manager() as session:
        session.add(kit.Item(name="item"))
        library.end(session, "commit")
        raise KeyError
    assert kit.names() == stored


@pytest.mark.parametrize("module", ["safeshopping", "namesake.safeshop"])
def test_the_mode_of_a_package_is_not_that_of_its_namesakes(
    make_kit: MakeKit, libraries: Callable[[str], Any], module: str
) -> None:
    """Whole names count: what only starts or ends like them has the app's own mode."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "off"}})
    library = libraries(module)
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match="'end' called"):
            library.end(session, "commit")


def test_a_package_may_be_stricter_than_the_app(
    make_kit: MakeKit, libraries: Callable[[str], Any]
) -> None:
    """``"raise"`` for one package where the others are let through."""
    modules = {"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "raise"}}
    kit = make_kit(config=modules, options={"ownership": "off"})
    library = libraries("safeshop.models")
    with kit.app.app_context(), session_manager() as session:
        session.commit()
        with pytest.raises(TransactionOwnershipError):
            library.end(session, "commit")


def test_the_warning_about_a_package_points_into_it(
    make_kit: MakeKit, libraries: Callable[[str], Any]
) -> None:
    """Its file and line, so that it can be reported to its authors."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "warn"}})
    library = libraries("safeshop.models")
    with kit.app.app_context(), session_manager() as session:
        with pytest.warns(OwnershipWarning, match=r"'end' called 'rollback\(\)'") as caught:
            library.end(session, "rollback")
    assert (caught[0].filename, caught[0].lineno) == (library.__file__, 1)


SCRIPT = """
import sys
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker
from flask_safesession import SafeSession, session_manager
from flask_safesession.errors import TransactionOwnershipError

assert False, "the test wants assertions to be off"
db = scoped_session(sessionmaker(create_engine("sqlite://")))
app = Flask("optimised")
SafeSession(app, db)
with app.app_context():
    for call in ("commit", "rollback", "close", "begin", "reset", "invalidate"):
        with session_manager():
            try:
                getattr(db(), call)()
            except TransactionOwnershipError:
                print(call)
"""


def test_the_guards_hold_without_assertions() -> None:
    """``python -O`` changes nothing."""
    result = subprocess.run(
        [sys.executable, "-O", "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    calls = ["commit", "rollback", "close", "begin", "reset", "invalidate"]
    assert result.stdout.split() == calls


class AuditedSession(Session):
    """A user's own session class."""

    commits = 0

    def commit(self) -> None:
        self.commits += 1
        super().commit()


@pytest.fixture
def audited(make_kit: MakeKit) -> Kit:
    """A kit whose sessions are of the user's own class."""
    kit = make_kit(flavour="sessionmaker", safe=False)
    kit.db = sessionmaker(kit.engine, class_=AuditedSession)
    kit.extension = SafeSession(kit.app, kit.db)
    return kit


def test_a_users_own_session_class_goes_on_working(audited: Kit) -> None:
    """Its methods run below the guard, and the class itself is not touched."""
    before = dict(vars(AuditedSession))
    with audited.app.app_context(), session_manager() as session:
        assert isinstance(session, AuditedSession)
        with pytest.raises(TransactionOwnershipError):
            session.commit()
        assert session.commits == 0
    assert session.commits == 1
    assert dict(vars(AuditedSession)) == before


def test_other_factories_of_the_same_class_are_not_guarded(audited: Kit) -> None:
    """The guard is put on one factory."""
    with audited.app.app_context(), session_manager():
        other = AuditedSession(audited.engine)
        other.commit()
        assert type(other) is AuditedSession
        assert not hasattr(sessionmaker(class_=AuditedSession)(), "_find_rules")
        assert type(Session(audited.engine)) is Session


def test_the_sessions_of_another_app_are_not_touched(make_kit: MakeKit) -> None:
    """An app without the extension commits as it likes, inside the scope of one that has it."""
    kit, other = make_kit(), make_kit(safe=False)
    with kit.app.app_context(), session_manager():
        with other.app.app_context():
            other.db.session.add(other.Item(name="theirs"))
            other.db.session.commit()
            assert current_scope() is None
        assert other.names() == ["theirs"]


def test_two_apps_have_their_own_modes(make_kit: MakeKit) -> None:
    """Each session follows the settings of the app that it belongs to."""
    strict, loose = make_kit(), make_kit(options={"ownership": "off"})
    with strict.app.app_context(), strict.safe.session_manager() as session:
        with loose.app.app_context(), loose.safe.session_manager() as inner:
            inner.add(loose.Item(name="stored"))
            inner.commit()
        with pytest.raises(TransactionOwnershipError):
            session.commit()
    assert loose.names() == ["stored"]


def test_a_second_session_of_the_same_app_is_its_own(sqlite_kit: Kit) -> None:
    """A session that no scope has opened may commit, though it comes from the guarded factory."""
    with sqlite_kit.app.app_context(), session_manager():
        with sqlite_kit.db.session.session_factory() as other:
            other.add(sqlite_kit.Item(name="own"))
            other.commit()
    assert sqlite_kit.names() == ["own"]


def test_a_connection_is_free_again_after_the_scope(kit: Kit) -> None:
    """What was put on it for the scope is taken off."""
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="scope"))
        connection = kit.db.session.connection()
        connection.exec_driver_sql("INSERT INTO item (name, amount) VALUES ('by hand', 0)")
        connection.commit()
        connection.begin()
        kit.db.session.close()
    assert kit.names() == ["by hand", "scope"]


def test_a_lent_connection_is_given_back_as_it_was(make_kit: MakeKit, database: Database) -> None:
    """A test kit binds the session to its own connection, and commits or rolls back that later."""
    kit = make_kit(database, "sessionmaker", safe=False)
    with kit.engine.connect() as connection, connection.begin() as outer:
        before = set(vars(connection))
        factory = scoped_session(sessionmaker(connection, join_transaction_mode="rollback_only"))
        SafeSession(kit.app, factory)
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="in the test's transaction"))
        assert set(vars(connection)) == before
        outer.rollback()
    assert kit.names() == []


def test_an_app_gets_its_guard_only_once(make_kit: MakeKit) -> None:
    """Two extensions on one factory guard it once, and it still works."""
    kit = make_kit(flavour="sessionmaker")
    second = Flask("second")
    safe = SafeSession(second, kit.db)
    names = [each.__name__ for each in kit.db.class_.__mro__]
    assert names.count("GuardMixin") == 1
    with second.app_context(), safe.session_manager() as session:
        session.add(kit.Item(name="second"))
    assert kit.names() == ["second"]


def test_the_place_is_found_behind_helpers_of_the_standard_library(sqlite_kit: Kit) -> None:
    """An ``ExitStack`` that calls ``commit`` is not the place; whoever fills it is."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=r"test_the_place_is_found.*'commit"):
            with ExitStack() as stack:
                stack.callback(session.commit)


def test_the_place_is_found_behind_generated_code(sqlite_kit: Kit) -> None:
    """Code without a file is nobody's: the line that runs it is named."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=r"test_ownership\.py:\d+\)"):
            eval("session.commit()", {"session": session})  # noqa: S307 - our own words
