"""Two-phase commit: whatever breaks, both databases store their part in the end, or neither does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import time
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import NullPool, __version__, create_engine
from sqlalchemy.exc import DBAPIError

from flask_safesession import (
    classify,
    current_scope,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
)
from flask_safesession._core import pact
from flask_safesession._core.recovery import find_prepared
from flask_safesession.cli import safesession
from flask_safesession.errors import PartialCommitError

from .conftest import Wanted, missing
from .databases import Database, DatabaseMissingError
from .kit import Kit, MakeKit, Tables
from .proxies import Cut, Proxy, proxied
from .servers import OwnPostgreSQL

# "Method 'rollback()' can't be called here" is what a PREPARE that fails ends in there, stock or not.
pytestmark = pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", __version__)[:3])) < (2, 0, 51),
    reason="SQLAlchemy before 2.0.51 cannot roll back after a PREPARE that failed",
)

DRIVERS = ("postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql", "mariadb-mysqlclient")
PREPARE = re.compile(rb"PREPARE TRANSACTION|XA PREPARE")
COMMIT = re.compile(rb"COMMIT PREPARED|XA COMMIT")

Cuttable = tuple[Kit, Proxy]
MakeCuttable = Callable[..., Cuttable]


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[Callable[[str], Database]]:
    """A PostgreSQL that lets transactions be prepared, by driver."""
    try:
        server = OwnPostgreSQL()
    except DatabaseMissingError as error:
        missing("postgresql", error)
    urls = [server.url.set(database=name) for name in ("first", "second")]
    engine = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for url in urls:
            connection.exec_driver_sql(f"CREATE DATABASE {url.database}")
    observers = [
        create_engine(each, poolclass=NullPool, isolation_level="AUTOCOMMIT") for each in urls
    ]
    tables = Tables()

    def make(name: str) -> Database:
        driver = name.partition("-")[2]
        first, second = (
            each.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
            for each in urls
        )
        database = Database(name, "postgresql", driver, first, second, *observers)
        tables.prepare(database)
        return database

    yield make
    server.remove()


@pytest.fixture(params=DRIVERS)
def preparing(request: pytest.FixtureRequest, wanted: Wanted) -> Database:
    """A database on a server that lets transactions be prepared, with a second one beside it."""
    if request.param.startswith("mariadb"):
        return wanted.get(request.param)
    own: Callable[[str], Database] = request.getfixturevalue("own_postgresql")
    return own(request.param)


@pytest.fixture
def two(preparing: Database, make_kit: MakeKit) -> Kit:
    """An app with two databases that prepares on both."""
    return make_kit(preparing, binds=True, options={"twophase": True})


@pytest.fixture
def make_cuttable(preparing: Database, make_kit: MakeKit) -> Iterator[MakeCuttable]:
    """The same by way of a proxy."""
    with ExitStack() as stack:

        def make(pattern: re.Pattern[bytes], **options: Any) -> Cuttable:
            via, proxy = stack.enter_context(proxied(preparing, pattern))
            return make_kit(via, binds=True, options={"twophase": True, **options}), proxy

        yield make


def _store(kit: Kit, ran: list[str] | None = None) -> None:
    """Store a row in both databases, the main one first."""
    with session_manager() as session:
        for outcome, register in _HOOKS.items():
            register((ran if ran is not None else []).append, outcome)
        session.add(kit.Item(name="a"))
        session.flush()
        session.add(kit.Other(name="a"))


_HOOKS: dict[str, Callable[..., Any]] = {
    "commit": on_commit,
    "rollback": on_rollback,
    "unknown": on_unknown,
}


def _run(kit: Kit, *arguments: str) -> Result:
    runner = kit.app.test_cli_runner()
    return runner.invoke(safesession, ["prepared", *arguments], catch_exceptions=False)


def _finish(kit: Kit) -> str:
    """Finish what is left; MariaDB may not have noticed yet that its connection is gone."""
    while (result := _run(kit, "--finish", "--older-than", "0")).exit_code:
        pass
    return result.output


def _stored(kit: Kit) -> tuple[list[str], list[str]]:
    return kit.names(), kit.other_names()


BOTH, NEITHER = (["a"], ["a"]), (list[str](), list[str]())


def test_both_store_and_nothing_is_left(two: Kit) -> None:
    """The list of prepared transactions is empty, and says so by its exit status."""
    ran = list[str]()
    with two.app.app_context():
        _store(two, ran)
    result = _run(two)
    assert (_stored(two), ran, result.output, result.exit_code) == (BOTH, ["commit"], "", 0)


def _die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process before the call number *step* of PREPARE, PREPARE, COMMIT, COMMIT."""
    original, calls = pact._do, list[str]()

    def do(connection: Any, what: str, ledger: Any = None) -> None:
        if len(calls) == step:
            os._exit(7)
        calls.append(what)
        original(connection, what, ledger)

    monkeypatch.setattr(pact, "_do", do)


@pytest.mark.parametrize(
    ("step", "word", "expected"),
    [
        (0, "", NEITHER),
        (1, "rolled back", NEITHER),
        (2, "rolled back", NEITHER),
        (3, "committed", BOTH),
    ],
)
def test_a_process_that_dies_leaves_what_can_be_finished(
    two: Kit, monkeypatch: pytest.MonkeyPatch, step: int, word: str, expected: object
) -> None:
    """Before the first COMMIT nothing is stored; after it the second part is committed by the command."""
    child = os.fork()
    if not child:
        _die_at(step, monkeypatch)
        with two.app.app_context():
            _store(two)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    output = _finish(two)
    assert (word in output, _stored(two), _run(two).output) == (True, expected, "")


@pytest.mark.parametrize(
    ("cuts", "stored", "left", "expected"),
    [
        (["before"], (), ("default", "second"), NEITHER),
        (["after"], (), ("default", "second"), BOTH),
        (["none", "before"], ("default",), ("second",), BOTH),
        (["none", "after"], ("default",), ("second",), BOTH),
    ],
)
def test_a_lost_answer_to_a_commit_leaves_what_can_be_finished(
    make_cuttable: MakeCuttable,
    cuts: list[Cut],
    stored: tuple[str, ...],
    left: tuple[str, ...],
    expected: object,
) -> None:
    """The outcome is unknown to the program, and the same on both databases when the command is through."""
    kit, proxy = make_cuttable(COMMIT)
    ran = list[str]()
    proxy.arm(*cuts)
    with kit.app.app_context():
        with pytest.raises(PartialCommitError, match="flask safesession prepared") as caught:
            _store(kit, ran)
        error = caught.value
        assert (error.stored, error.unknown, ran) == (stored, left, ["unknown"])
        assert (classify(error).category, kit.checkedout()) == ("commit_unknown", 0)
    _finish(kit)
    assert _stored(kit) == expected
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Other(name="b"))


@pytest.mark.parametrize("cuts", [["before"], ["after"], ["none", "before"], ["none", "after"]])
def test_a_lost_answer_to_a_prepare_stores_nothing(
    make_cuttable: MakeCuttable, cuts: list[Cut]
) -> None:
    """The work is safe to do again; what may be prepared is rolled back by the command."""
    kit, proxy = make_cuttable(PREPARE)
    ran = list[str]()
    proxy.arm(*cuts)
    with kit.app.app_context():
        with pytest.raises(DBAPIError) as caught:
            _store(kit, ran)
        assert (classify(caught.value).retry_safe, ran) == (True, ["rollback"])
    _finish(kit)
    assert (_stored(kit), kit.checkedout()) == (NEITHER, 0)


def test_a_commit_of_a_prepared_part_without_an_answer_ends(make_cuttable: MakeCuttable) -> None:
    """As any other COMMIT."""
    kit, proxy = make_cuttable(COMMIT, commit_timeout=0.2)
    proxy.arm("none", "silence after")
    with kit.app.app_context(), pytest.raises(PartialCommitError):
        _store(kit)
    _finish(kit)
    assert _stored(kit) == BOTH


class Interruption(BaseException):
    """Ctrl-C, or a killed greenlet."""


def _interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Raise *error* at the call number *step* of PREPARE, PREPARE, COMMIT, COMMIT, or of ROLLBACK after those."""
    original, calls = pact._do, list[str]()

    def do(connection: Any, what: str, ledger: Any = None) -> None:
        calls.append(what)
        if len(calls) == step + 1:
            raise error
        original(connection, what, ledger)

    monkeypatch.setattr(pact, "_do", do)


@pytest.mark.parametrize(
    ("step", "outcome", "expected"),
    [(1, "rollback", NEITHER), (2, "unknown", NEITHER), (3, "unknown", BOTH)],
)
def test_an_interruption_leaves_what_can_be_finished(
    two: Kit, monkeypatch: pytest.MonkeyPatch, step: int, outcome: str, expected: object
) -> None:
    """It goes on as it is, with a note, and takes nothing back that may be committed."""
    ran = list[str]()
    _interrupt_at(step, monkeypatch, Interruption())
    with two.app.app_context():
        with pytest.raises(Interruption) as caught:
            _store(two, ran)
    assert "flask safesession prepared" in "".join(vars(caught.value)["__notes__"])
    monkeypatch.undo()
    _finish(two)
    assert (ran, _stored(two), two.checkedout()) == ([outcome], expected, 0)


def test_a_promise_that_cannot_be_taken_back_is_left(
    two: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part is still prepared then, so the command rolls back what there is."""
    with two.app.app_context():
        two.db.session.add(two.Item(name="a"))
        two.db.session.flush()
        two.db.session.add(two.Other(name="a"))
        two.db.session().prepare()
        _interrupt_at(0, monkeypatch, OSError("broken"))
        with pytest.raises(OSError, match="broken"):
            two.db.session.rollback()
        monkeypatch.undo()
        two.db.session.close()
    _finish(two)
    assert (_stored(two), two.checkedout()) == (NEITHER, 0)


# PostgreSQL prepares nothing that depends on the session.
SPOIL = "CREATE TEMP TABLE of_the_session (id int)"


@pytest.fixture(params=DRIVERS[:2])
def two_on_postgresql(
    request: pytest.FixtureRequest,
    own_postgresql: Callable[[str], Database],
    make_kit: MakeKit,
) -> Kit:
    """An app with two databases, on the server whose PREPARE may fail."""
    return make_kit(own_postgresql(request.param), binds=True, options={"twophase": True})


def test_a_prepare_that_fails_takes_back_the_others(two_on_postgresql: Kit) -> None:
    """The first part is prepared, the second is not, and nothing is left."""
    kit = two_on_postgresql
    with kit.app.app_context():
        with pytest.raises(DBAPIError, match="temporary"), session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            second = session.connection(bind_arguments={"mapper": kit.Other.__mapper__})
            second.exec_driver_sql(SPOIL)
    assert (_stored(kit), kit.checkedout(), _run(kit).output) == (NEITHER, 0, "")


def test_a_core_transaction_that_cannot_prepare_is_not_pooled(two_on_postgresql: Kit) -> None:
    """Its driver takes it for prepared."""
    kit = two_on_postgresql
    with kit.app.app_context(), session_manager() as session:
        session.connection()
    with kit.engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.exec_driver_sql(SPOIL)
        with pytest.raises(DBAPIError):
            transaction.prepare()
        assert connection.invalidated
        transaction.rollback()


@pytest.mark.parametrize(("is_mariadb", "version"), [(True, (10, 4, 30)), (False, (5, 6, 51))])
def test_a_server_that_forgets_what_it_has_prepared_is_refused(
    wanted: Wanted,
    make_kit: MakeKit,
    monkeypatch: pytest.MonkeyPatch,
    is_mariadb: bool,
    version: tuple[int, ...],
) -> None:
    """A part that was to be committed would be gone with its connection."""
    kit = make_kit("mariadb-pymysql", binds=True, options={"twophase": True})
    kit.engine.connect().close()
    monkeypatch.setattr(kit.engine.dialect, "is_mariadb", is_mariadb)
    monkeypatch.setattr(kit.engine.dialect, "server_version_info", version)
    with kit.app.app_context():
        with pytest.raises(NotImplementedError, match=r"needs MariaDB 10\.5"):
            _store(kit)


def test_an_answer_at_the_last_moment_counts(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection was ended all the same, and is not used for another transaction."""

    def watched(call: Callable[[Any], None], _: Any, fairy: Any, __: Any) -> bool:
        used.append(fairy.dbapi_connection)
        call(fairy)
        return True

    used = list[Any]()
    monkeypatch.setattr(pact, "watched", watched)
    with two.app.app_context():
        _store(two)
        with session_manager() as session:
            assert session.connection().connection.dbapi_connection not in used
    assert _stored(two) == BOTH


def test_a_rollback_after_a_prepare_by_hand(two: Kit) -> None:
    """All parts take their promise back."""
    with two.app.app_context():
        two.db.session.add_all([two.Item(name="a"), two.Other(name="a")])
        two.db.session().prepare()
        two.db.session.rollback()
        assert two.checkedout() == 0
    assert (_stored(two), _run(two).output) == (NEITHER, "")


def _leave(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave the second part of a transaction prepared; return the id of the whole."""
    original = pact._do

    def do(connection: Any, what: str, ledger: Any = None) -> None:
        if what == "commit_twophase" and len(left) == 1:
            raise OSError("broken")
        left.append(what) if what == "commit_twophase" else None
        original(connection, what, ledger)

    left = list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(pact, "_do", do)
        with kit.app.app_context(), pytest.raises(PartialCommitError) as caught:
            _store(kit)
    found = re.search(r"[0-9a-f]{20}", str(caught.value))
    assert found is not None
    return found.group()


def test_the_command_lists_and_waits(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A young transaction may be about to be ended by its own process."""
    transaction = _leave(two, monkeypatch)
    result = _run(two, "--finish")
    assert (result.exit_code, _stored(two)) == (1, (["a"], []))
    assert re.match(
        rf"{transaction}  \d+ s old, prepared on \w+: to be committed, as its first part has been\n\Z",
        result.output,
    )
    _finish(two)
    assert _stored(two) == BOTH


@pytest.mark.parametrize(("option", "second"), [("--commit", ["a"]), ("--rollback", [])])
def test_the_administrator_decides(
    two: Kit, monkeypatch: pytest.MonkeyPatch, option: str, second: list[str]
) -> None:
    """Whatever the list says, for one transaction."""
    transaction = _leave(two, monkeypatch)
    while _run(two, option, transaction).exit_code:
        pass
    assert _stored(two) == (["a"], second)


def test_a_transaction_of_another_app_is_left_to_it(
    two: Kit, preparing: Database, make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first part's database is not known here, so nobody can tell whether that has committed."""
    transaction = _leave(two, monkeypatch)
    with two.app.app_context():
        second = {"second": two.engines[-1]}
        (found,) = [e for e in find_prepared(second, time()) if e.transaction == transaction]
    assert found.decision == "unknown"
    _finish(two)


def test_what_others_have_prepared_is_not_shown(two: Kit) -> None:
    """SQLAlchemy's own ids among them."""
    with two.engine.connect() as connection, connection.begin_twophase() as transaction:
        transaction.prepare()
        assert _run(two).output == ""
        transaction.rollback()


def test_a_command_that_fails_says_so(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves the exit status at 1."""
    _leave(two, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(
            "flask_safesession._core.recovery._VERBS",
            dict.fromkeys(("postgresql", "mysql", "mariadb"), "NONSENSE {}".format),
        )
        result = _run(two, "--finish", "--older-than", "0")
    assert ("commit failed" in result.stderr, result.exit_code) == (True, 1)
    _finish(two)


def test_databases_that_cannot_prepare_have_nothing_to_show(make_kit: MakeKit) -> None:
    """SQLite knows no such thing."""
    assert _run(make_kit(binds=True)).output == ""


def test_an_app_without_the_extension_is_told_so(make_kit: MakeKit) -> None:
    """And not that a key is missing."""
    result = _run(make_kit(safe=False))
    assert ("has no SafeSession" in result.output, result.exit_code) == (True, 1)


def test_the_outcome_of_the_scope(two: Kit) -> None:
    """As with one database."""
    with two.app.app_context():
        with session_manager() as session:
            scope = current_scope()
            session.add(two.Other(name="a"))
        assert scope is not None
        assert scope.outcome == "committed"
