"""Application contexts: one session each, rolled back, closed and reported at the end."""

from __future__ import annotations

import contextvars
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from flask import Flask, abort, current_app, g, has_app_context, stream_with_context
from flask.ctx import AppContext
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from flask_safesession import (
    AppContextManager,
    SafeSession,
    current_scope,
    session_manager,
    transactional,
)
from flask_safesession.errors import (
    NoAppError,
    StaleContextError,
    StaleContextWarning,
    UncommittedChangesError,
    UncommittedChangesWarning,
)

from .flasks import raised_at_the_end, shares_contexts
from .kit import Kit, MakeKit


def _add(kit: Kit, name: str = "a") -> Any:
    item = kit.Item(name=name)
    kit.db.session.add(item)
    return item


def _store(kit: Kit, *names: str) -> None:
    with kit.app.app_context(), session_manager() as session:
        session.add_all([kit.Item(name=name) for name in names])


@contextmanager
def _reported(what: str = "") -> Iterator[None]:
    with pytest.warns(UncommittedChangesWarning, match=what) as record:
        yield
    assert len(record) == 1


def _ended(kit: Kit, touch: Callable[[], object]) -> contextvars.Context:
    with kit.app.app_context():
        touch()
        return contextvars.copy_context()


def _in_thread(context: contextvars.Context, run: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(context.run, run).result(timeout=10)


# --- the context object is the key


def test_each_context_has_its_own_session(any_kit: Kit) -> None:
    """A context inside another has another session, and the outer one comes back."""
    sessions = []
    with any_kit.app.app_context():
        sessions.append(_scope_session())
        with any_kit.app.app_context():
            sessions.append(_scope_session())
        sessions.append(_scope_session())
    assert sessions[0] is sessions[2] is not sessions[1]


def _scope_session() -> Any:
    with session_manager() as session:
        return session


def test_a_scope_is_not_seen_in_a_nested_context(sqlite_kit: Kit) -> None:
    """Inside a nested ``app.app_context()`` there is no scope yet."""
    with sqlite_kit.app.app_context(), session_manager():
        with sqlite_kit.app.app_context():
            inner = current_scope()
        outer = current_scope()
    assert (inner, outer is None) == (None, False)


def test_threads_have_their_own_sessions(sqlite_kit: Kit) -> None:
    """Contexts of two threads that are open at a time have two sessions."""
    both_open = threading.Barrier(2, timeout=10)

    def work() -> Any:
        with sqlite_kit.app.app_context():
            both_open.wait()
            return sqlite_kit.db.session()

    with ThreadPoolExecutor(2) as executor:
        first, second = [executor.submit(work) for _ in range(2)]
    assert first.result(10) is not second.result(10)


@pytest.mark.parametrize("touched", [True, False])
def test_a_popped_context_is_refused(any_kit: Kit, touched: bool) -> None:
    """A copy of a context that has ended gives no session, though nobody had used it before."""
    with_session = any_kit.flavour == "sessionmaker"
    use = _scope_session if with_session else lambda: any_kit.session().execute(select(1))
    ended = _ended(any_kit, use if touched else lambda: None)
    with pytest.raises(StaleContextError, match=r"^'.*' \(tests/\w+.py:\d+\) reached"):
        _in_thread(ended, use)
    assert any_kit.checkedout() == 0


def test_a_popped_context_gives_no_scope(kit: Kit) -> None:
    """The same holds for ``session_manager()``, on the three databases."""
    ended = _ended(kit, lambda: _scope_session())
    with pytest.raises(StaleContextError, match="has already ended"):
        _in_thread(ended, _scope_session)
    assert kit.checkedout() == 0


def test_a_popped_context_in_mode_warn(make_kit: MakeKit) -> None:
    """``"warn"`` gives a session, and a warning at the line that asked."""
    kit = make_kit(config={"SAFESESSION_STALE_CONTEXT": "warn"})
    ended = _ended(kit, lambda: None)

    def use() -> Any:
        kit.db.session.scalar(select(1))
        kit.db.session.remove()

    with pytest.warns(StaleContextWarning, match="'use'") as record:
        ended.run(use)
    first = use.__code__.co_firstlineno
    assert record[0].filename == __file__
    assert [each.lineno for each in record] == [first + 1, first + 2][: len(record)]


def test_a_popped_context_in_mode_off(make_kit: MakeKit) -> None:
    """``"off"`` is silent, and still no other context gets that session."""
    kit = make_kit(config={"SAFESESSION_STALE_CONTEXT": "off"})
    ended = _ended(kit, lambda: None)
    stale = ended.run(kit.db.session)
    with kit.app.app_context():
        fresh = kit.db.session()
    assert fresh is not stale


def _leaks_to_next_context(kit: Kit, late_touch: Callable[[], object]) -> bool:
    """Whether a context at the address of an ended one gets the session of that one."""
    kept = []
    for _ in range(200):
        _ended(kit, lambda: None).run(late_touch)
        context = kit.app.app_context()
        kept.append(context)
        with context:
            leaked = bool(kit.db.session.new)
            kit.db.session.remove()
        if leaked:
            return True
    return False


def test_stock_flask_sqlalchemy_hands_sessions_on(make_kit: MakeKit) -> None:
    """Without the extension a late touch of ``db.session`` shows up in a fresh context (fact 1)."""
    kit = make_kit(safe=False)
    assert _leaks_to_next_context(kit, lambda: _add(kit, "ghost"))


def test_no_context_gets_the_session_of_another(make_kit: MakeKit) -> None:
    """With it a fresh context is fresh, even where late touches are let through."""
    kit = make_kit(config={"SAFESESSION_STALE_CONTEXT": "off"})
    assert not _leaks_to_next_context(kit, lambda: _add(kit, "ghost"))


def test_a_context_that_is_pushed_again_works(sqlite_kit: Kit) -> None:
    """A context object may be pushed again after its end, and has a new session."""
    context = sqlite_kit.app.app_context()
    with context:
        first = sqlite_kit.db.session()
    with context:
        assert sqlite_kit.db.session() is not first


def test_a_context_that_is_pushed_twice(sqlite_kit: Kit) -> None:
    """Only the last pop of a context that was pushed twice ends its session."""
    with sqlite_kit.app.app_context() as context:
        first = _add(sqlite_kit)
        with context:
            assert first in sqlite_kit.db.session
        assert first in sqlite_kit.db.session
        sqlite_kit.db.session.rollback()


# --- the end of a context


def test_a_context_ends_with_a_rollback(kit: Kit) -> None:
    """What nobody committed is rolled back and reported, and the connection is back."""
    with _reported("they were rolled back: statements already sent"), kit.app.app_context():
        _add(kit)
        kit.db.session.flush()
        assert kit.checkedout() == 1
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_each_way_of_having_sessions_is_rolled_back(any_kit: Kit) -> None:
    """Not only Flask-SQLAlchemy's session ends with its context."""
    with _reported("1 new object"), any_kit.app.app_context():
        with session_manager(propagation="supports") as session:
            session.add(any_kit.Item(name="a"))
    assert (any_kit.names(), any_kit.checkedout()) == ([], 0)


def test_a_session_that_only_read_is_not_reported(sqlite_kit: Kit) -> None:
    """Reading leaves nothing to commit."""
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.execute(select(sqlite_kit.Item)).all()
        sqlite_kit.db.session.execute(text("SELECT 1")).all()
    assert sqlite_kit.checkedout() == 0


def test_committed_work_is_not_reported(sqlite_kit: Kit) -> None:
    """Neither is what was committed or rolled back by hand."""
    with sqlite_kit.app.app_context():
        _add(sqlite_kit)
        sqlite_kit.db.session.commit()
        _add(sqlite_kit, "b")
        sqlite_kit.db.session.rollback()
    assert sqlite_kit.names() == ["a"]


def test_an_object_that_is_as_before_is_not_reported(sqlite_kit: Kit) -> None:
    """An attribute that was set to the value it had is no change."""
    _store(sqlite_kit, "a")
    with sqlite_kit.app.app_context():
        item = sqlite_kit.db.session.scalars(select(sqlite_kit.Item)).one()
        item.name = "a"
    assert sqlite_kit.names() == ["a"]


def _change_attribute(kit: Kit) -> None:
    kit.db.session.scalars(select(kit.Item)).one().amount = 5


def _delete(kit: Kit) -> None:
    session = kit.db.session
    item = session.scalars(select(kit.Item)).one()
    session.delete(item)


def _merge(kit: Kit) -> None:
    kit.db.session.merge(kit.Item(id=99, name="merged"))


def _add_all(kit: Kit) -> None:
    kit.db.session.add_all([kit.Item(name="b"), kit.Item(name="c")])


def _insert(kit: Kit) -> None:
    kit.db.session.execute(insert(kit.Item).values(name="b"))


def _update(kit: Kit) -> None:
    kit.db.session.execute(update(kit.Item).values(amount=5))


def _delete_rows(kit: Kit) -> None:
    kit.db.session.execute(delete(kit.Item))


def _text(kit: Kit) -> None:
    kit.db.session.execute(text("UPDATE item SET amount = 5"))


def _returning(kit: Kit) -> None:
    kit.db.session.scalars(insert(kit.Item).values(name="b").returning(kit.Item.id)).all()


def _returning_one(kit: Kit) -> None:
    kit.db.session.scalar(insert(kit.Item).values(name="b").returning(kit.Item.id))


CHANGES: list[tuple[Callable[[Kit], None], str]] = [
    (_add_all, "2 new object"),
    (_merge, "1 new object"),
    (_delete, "1 deleted object"),
    (_insert, "statements already sent"),
    (_update, "statements already sent"),
    (_delete_rows, "statements already sent"),
    (_text, "statements already sent"),
    (_returning, "statements already sent"),
    (_returning_one, "statements already sent"),
]


@pytest.mark.parametrize(
    ("change", "what"), CHANGES, ids=lambda each: getattr(each, "__name__", "")
)
def test_the_report_points_at_the_first_change(
    sqlite_kit: Kit, change: Callable[[Kit], None], what: str
) -> None:
    """The warning says what is lost, and stands at the line that changed something first."""
    _store(sqlite_kit, "a")
    with pytest.warns(UncommittedChangesWarning) as record, sqlite_kit.app.app_context():
        change(sqlite_kit)
    last_line = max(line for *_, line in change.__code__.co_lines() if line is not None)
    assert what in str(record[0].message)
    assert f"The first change was made by '{change.__name__}'" in str(record[0].message)
    assert (record[0].filename, record[0].lineno) == (__file__, last_line)


def test_a_changed_attribute_is_reported(sqlite_kit: Kit) -> None:
    """A changed object is reported too; no call marks the line where it was changed."""
    _store(sqlite_kit, "a")
    with _reported("1 changed object"), sqlite_kit.app.app_context():
        _change_attribute(sqlite_kit)
    assert sqlite_kit.names() == ["a"]


def test_the_first_change_counts(sqlite_kit: Kit) -> None:
    """Of several changes the first is named, and what was sent and what waits are both counted."""
    with (
        pytest.warns(UncommittedChangesWarning, match=r"1 new object.* and statements") as record,
        sqlite_kit.app.app_context(),
    ):
        _add(sqlite_kit, "first")
        sqlite_kit.db.session.flush()
        _insert(sqlite_kit)
        _add(sqlite_kit, "last")
    assert "by '_add'" in str(record[0].message)


def test_a_warning_comes_once_per_place(sqlite_kit: Kit) -> None:
    """With Python's usual filter one line is reported once, however many contexts it spoils."""

    def spoil() -> None:
        with sqlite_kit.app.app_context():
            _add(sqlite_kit)

    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("default")
        spoil()
        spoil()
    assert len(record) == 1


def test_uncommitted_raise(make_kit: MakeKit) -> None:
    """``"raise"`` raises at the end of the context, when all is rolled back and closed."""
    kit = make_kit(config={"SAFESESSION_UNCOMMITTED": "raise"})
    with raised_at_the_end(UncommittedChangesError, "1 new object"), kit.app.app_context():
        _add(kit)
    assert (kit.names(), kit.checkedout(), has_app_context()) == ([], 0, False)


def test_uncommitted_off(make_kit: MakeKit) -> None:
    """``"off"`` rolls back in silence."""
    kit = make_kit(config={"SAFESESSION_UNCOMMITTED": "off"})
    with kit.app.app_context():
        _add(kit)
        kit.db.session.flush()
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_failed_context_reports_nothing(sqlite_kit: Kit) -> None:
    """What an exception cut off was not forgotten."""
    with pytest.raises(ValueError, match="no"), sqlite_kit.app.app_context():
        _add(sqlite_kit)
        raise ValueError("no")
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


def _fail() -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(
    "respond",
    [_fail, lambda: abort(409), lambda: ("", 400)],
    ids=["exception", "abort", "returned"],
)
@pytest.mark.parametrize("shared", [False, True], ids=["own context", "shared context"])
def test_a_failed_request_reports_nothing(
    sqlite_kit: Kit, respond: Callable[[], Any], shared: bool
) -> None:
    """A request that answers with an error has given its changes up, handled or not."""
    kit = sqlite_kit
    kit.app.config["PROPAGATE_EXCEPTIONS"] = False
    kit.app.add_url_rule("/", "index", lambda: _add(kit) and respond())
    with kit.app.app_context() if shared else nullcontext():
        assert kit.client.get("/").status_code >= 400
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_an_unhandled_exception_is_not_hidden_by_a_report(make_kit: MakeKit) -> None:
    """In a shared context too the request's own exception comes out, even in mode "raise"."""
    kit = make_kit(config={"SAFESESSION_UNCOMMITTED": "raise"})
    kit.app.add_url_rule("/", "index", lambda: _add(kit) and _fail())
    with kit.app.app_context(), pytest.raises(ValueError, match="no"):
        kit.client.get("/")
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_request_that_forgets_to_commit(sqlite_kit: Kit) -> None:
    """A good answer without a commit is what the report is for."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: _add(kit) and "saved!")
    with _reported("1 new object"):
        assert kit.client.get("/").text == "saved!"
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_failing_commit_leaves_nothing(kit: Kit) -> None:
    """A failed hand-written commit that the view swallowed leaves no connection in a transaction."""

    def view() -> tuple[str, int]:
        kit.db.session.add(kit.LateChild(name="orphan", parent_id=987))
        with pytest.raises(IntegrityError):
            kit.db.session.commit()
        return "refused", 409

    kit.app.add_url_rule("/", "index", view)
    kit.app.add_url_rule("/next", "next", transactional(lambda: _add(kit) and "ok"))
    assert [kit.client.get(path).text for path in ("/", "/next")] == ["refused", "ok"]
    assert (kit.names(), kit.count(kit.LateChild), kit.checkedout()) == (["a"], 0, 0)


def test_an_open_requires_new_ends_with_its_context(sqlite_kit: Kit) -> None:
    """Scopes that are still open, with the sessions that they suspended, are rolled back."""
    outer = session_manager()
    inner = [session_manager(propagation="requires_new") for _ in range(2)]
    with (
        pytest.warns(UncommittedChangesWarning, match="1 new object") as record,
        sqlite_kit.app.app_context(),
    ):
        outer.__enter__().scalar(select(1))
        inner[0].__enter__().add(sqlite_kit.Item(name="a"))
        inner[1].__enter__().scalar(select(1))
        assert sqlite_kit.checkedout() > 1
    assert (len(record), sqlite_kit.names(), sqlite_kit.checkedout()) == (1, [], 0)


def test_a_session_that_cannot_be_closed(sqlite_kit: Kit, caplog: Any) -> None:
    """Teardown logs what fails in it, gives the connection up, and does not raise."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        session.scalar(select(1))
        session.close = _fail
    assert "could not be ended with its context" in caplog.text
    assert sqlite_kit.checkedout() == 0


def test_a_connection_that_breaks_before_the_end(kit: Kit) -> None:
    """A connection that is gone at the end of its context does not go back into the pool."""
    with kit.app.app_context():
        kit.db.session.connection().connection.dbapi_connection.close()
    with kit.app.app_context():
        assert kit.db.session.scalar(select(1)) == 1
    assert kit.checkedout() == 0


def test_a_request_that_cannot_be_rolled_back(sqlite_kit: Kit, caplog: Any) -> None:
    """The same for a request in a context that goes on, which has another connection afterwards."""
    kit = sqlite_kit

    @kit.app.route("/")
    def index() -> str:
        kit.db.session.connection().connection.dbapi_connection.close()
        return "ok"

    with kit.app.app_context():
        assert kit.client.get("/").text == "ok"
        assert (kit.checkedout(), kit.db.session.scalar(select(1))) == (0, 1)
    assert "could not be ended with its context" in caplog.text


# --- other teardown functions


def _raising(_: Any) -> None:
    raise RuntimeError("another extension")


def _unsafe(make_kit: MakeKit) -> Kit:
    """A kit without the extension and without Flask-SQLAlchemy's teardown, to order both freely."""
    kit = make_kit(safe=False)
    kit.app.teardown_appcontext_funcs.clear()
    return kit


ORDERS = ["teardown,db,safe", "teardown,safe,db", "db,teardown,safe", "safe,teardown,db"]
ORDERS += ["db,safe,teardown", "safe,db,teardown"]


def _assemble(kit: Kit, order: str, teardown: Callable[[Any], Any]) -> None:
    steps: dict[str, Callable[[], object]] = {
        "teardown": lambda: kit.app.teardown_appcontext(teardown),
        "db": lambda: kit.app.teardown_appcontext(kit.db._teardown_session),
        "safe": lambda: SafeSession(kit.app, kit.db),
    }
    for step in order.split(","):
        steps[step]()


@pytest.mark.parametrize("order", ORDERS)
def test_another_teardown_raises(make_kit: MakeKit, order: str) -> None:
    """In each order of registration the session is rolled back and closed."""
    kit = _unsafe(make_kit)
    _assemble(kit, order, _raising)
    with raised_at_the_end(RuntimeError, "another extension"), kit.app.app_context():
        kit.db.session.execute(select(kit.Item)).all()
        assert kit.checkedout() == 1
    assert kit.checkedout() == 0


def test_a_coroutine_teardown_is_left_alone(sqlite_kit: Kit) -> None:
    """An ``async def`` teardown function is awaited by Flask as ever."""
    pytest.importorskip("asgiref")
    ran: list[bool] = []

    async def teardown(_: Any) -> None:
        ran.append(True)

    sqlite_kit.app.teardown_appcontext(teardown)
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.execute(select(1))
    assert (ran, sqlite_kit.checkedout()) == ([True], 0)


@pytest.mark.parametrize("order", ["db,teardown,safe", "safe,db,teardown", "db,safe,teardown"])
def test_a_teardown_that_commits(make_kit: MakeKit, order: str) -> None:
    """A teardown function registered after Flask-SQLAlchemy's still stores what it commits."""
    kit = _unsafe(make_kit)
    _assemble(kit, order, lambda error: error or kit.db.session.commit())
    with kit.app.app_context():
        _add(kit)
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


@pytest.mark.parametrize("order", ["teardown,db,safe", "teardown,safe,db", "safe,teardown,db"])
def test_a_teardown_that_commits_too_late(make_kit: MakeKit, order: str) -> None:
    """One registered before it runs after the session is gone, as without the extension; it is reported."""
    kit = _unsafe(make_kit)
    _assemble(kit, order, lambda _: kit.db.session.commit())
    with _reported("1 new object"), kit.app.app_context():
        _add(kit)
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_late_teardown_gets_a_session_that_ends_too(make_kit: MakeKit) -> None:
    """What a teardown function begins after the session was removed is ended with the context."""
    kit = _unsafe(make_kit)
    _assemble(kit, "teardown,db,safe", lambda _: kit.db.session.scalar(select(1)))
    with kit.app.app_context():
        kit.db.session.scalar(select(1))
    assert kit.checkedout() == 0


def test_a_teardown_that_is_registered_later(sqlite_kit: Kit) -> None:
    """A function registered after contexts were used is shielded too, once."""
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.scalar(select(1))
    sqlite_kit.app.teardown_appcontext(_raising)
    for _ in range(2):
        with raised_at_the_end(RuntimeError), sqlite_kit.app.app_context():
            sqlite_kit.db.session.scalar(select(1))
        assert sqlite_kit.checkedout() == 0
    sqlite_kit.app.teardown_appcontext(lambda _: None)
    with raised_at_the_end(RuntimeError), sqlite_kit.app.app_context():
        sqlite_kit.db.session.scalar(select(1))


@pytest.mark.parametrize("db_first", [True, False])
def test_either_order_of_init_app(make_kit: MakeKit, db_first: bool) -> None:
    """``SafeSession`` works before and after ``db.init_app``."""
    kit = make_kit(db_first=db_first)
    with _reported(), kit.app.app_context():
        _store(kit, "a")
        _add(kit, "b")
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_an_app_that_loses_the_extension(sqlite_kit: Kit) -> None:
    """An app whose extension was taken away goes on as without it."""
    sqlite_kit.app.extensions.clear()
    sqlite_kit.app.extensions["sqlalchemy"] = sqlite_kit.db
    with sqlite_kit.app.app_context():
        _add(sqlite_kit)
        sqlite_kit.db.session.commit()
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == (["a"], 0)


# --- one context around many requests (fact 20)


def test_a_request_leaves_nothing_in_a_shared_context(sqlite_kit: Kit) -> None:
    """What a request began ends with it, though the context goes on."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: _add(kit) and "ok")
    with kit.app.app_context():
        with _reported("1 new object"):
            kit.client.get("/")
        assert (list(kit.db.session.new), kit.checkedout()) == ([], 0)
        kit.db.session.commit()
    assert kit.names() == []


def test_a_request_that_reads_gives_its_connection_back(sqlite_kit: Kit) -> None:
    """No request holds a connection, and its objects stay usable in the test around."""
    kit = sqlite_kit
    _store(kit, "a")
    found: list[Any] = []

    @kit.app.route("/")
    def index() -> str:
        found.append(kit.db.session.scalars(select(kit.Item)).one())
        return "ok"

    with kit.app.app_context():
        kit.client.get("/")
        assert kit.checkedout() == 0
        assert found[0].name == "a"


@shares_contexts
def test_the_transaction_of_the_test_itself_stays(sqlite_kit: Kit) -> None:
    """A transaction that was open before a request goes on after it."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: kit.db.session.scalars(select(kit.Item.name)).one())
    with kit.app.app_context():
        _add(kit)
        kit.db.session.flush()
        assert kit.client.get("/").text == "a"
        kit.db.session.commit()
    assert kit.names() == ["a"]


def test_pending_objects_of_the_test_itself_stay(sqlite_kit: Kit) -> None:
    """Neither are objects dropped that the test added before, without a statement."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: "ok")
    with kit.app.app_context():
        _add(kit)
        kit.client.get("/")
        kit.db.session.commit()
    assert kit.names() == ["a"]


@shares_contexts
def test_a_scope_around_requests_stays(sqlite_kit: Kit) -> None:
    """A scope that was opened around a request is not ended by it."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: _add(kit) and "ok")
    with kit.app.app_context(), session_manager():
        kit.client.get("/")
    assert kit.names() == ["a"]


def test_scopes_of_requests_in_a_shared_context(kit: Kit) -> None:
    """``@transactional`` views commit and roll back one by one in a shared context."""
    kit.app.add_url_rule(
        "/<name>/<int:status>",
        "index",
        transactional(lambda name, status: _add(kit, name) and ("", status)),
    )
    with kit.app.app_context():
        for path in ("/a/200", "/b/400", "/c/201"):
            kit.client.get(path)
            assert kit.checkedout() == 0
    assert kit.names() == ["a", "c"]


def test_a_shared_context_of_another_app(make_kit: MakeKit) -> None:
    """A context of another app is not the request's, and is left alone."""
    one, other = make_kit(), make_kit()
    one.app.add_url_rule("/", "index", lambda: "ok")
    with _reported("1 new object"), other.app.app_context():
        _add(other)
        one.client.get("/")
        assert len(other.db.session.new) == 1


# --- streams


def test_a_stream_with_context_has_two_ends(sqlite_kit: Kit) -> None:
    """Flask 3.1.3 tears the context down before the body and after it; both give the connection back."""
    kit = sqlite_kit
    _store(kit, "a", "b")
    out: list[int] = []

    def body() -> Iterator[str]:
        names = kit.db.session.scalars(select(kit.Item.name)).all()
        out.append(kit.checkedout())
        yield from names

    def view() -> Any:
        kit.db.session.scalar(select(1))
        return stream_with_context(body())

    kit.app.add_url_rule("/", "index", view)
    assert (kit.client.get("/").text, out, kit.checkedout()) == ("ab", [1], 0)


def test_what_a_stream_leaves_is_reported(sqlite_kit: Kit) -> None:
    """A body that adds without commit is reported at its end."""

    def body() -> Iterator[str]:
        _add(sqlite_kit)
        yield "ok"

    sqlite_kit.app.add_url_rule("/", "index", lambda: stream_with_context(body()))
    with _reported("1 new object"):
        assert sqlite_kit.client.get("/").text == "ok"
    assert sqlite_kit.checkedout() == 0


def test_an_abandoned_stream(sqlite_kit: Kit) -> None:
    """While a stream hangs in the middle, later requests of its thread end what they began."""
    kit = sqlite_kit

    def body() -> Iterator[str]:
        yield (kit.db.session.scalars(select(kit.Item.name)).all() and "") or "first"
        yield "never"

    kit.app.add_url_rule("/", "index", lambda: stream_with_context(body()))
    kit.app.add_url_rule("/next", "next", transactional(lambda: _add(kit) and "ok"))
    stream = kit.client.get("/", buffered=False)
    assert next(stream.iter_encoded()) == b"first"
    assert (kit.client.get("/next").text, kit.names()) == ("ok", ["a"])
    stream.close()
    assert kit.checkedout() == 0


# --- AppContextManager


def test_an_app_context_manager_is_a_context(any_kit: Kit) -> None:
    """It pushes a new application context with its own session, and pops it."""
    with AppContextManager(any_kit.app) as context:
        assert isinstance(context, AppContext)
        assert current_app.name == any_kit.app.name
        with session_manager() as session:
            session.add(any_kit.Item(name="a"))
    assert (any_kit.names(), has_app_context()) == (["a"], False)


def test_an_app_context_manager_rolls_back(kit: Kit) -> None:
    """What is not committed inside is rolled back at its end, and reported."""
    with _reported("statements already sent"), AppContextManager(kit.app):
        _add(kit)
        kit.db.session.flush()
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_an_exception_leaves_an_app_context_manager(sqlite_kit: Kit) -> None:
    """Teardown functions get the exception, which goes on as it is."""
    seen: list[Any] = []
    sqlite_kit.app.teardown_appcontext(seen.append)
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"), AppContextManager(sqlite_kit.app):
        _add(sqlite_kit)
        raise error
    assert (seen, sqlite_kit.names()) == ([error], [])


def test_an_app_context_manager_takes_the_current_app(sqlite_kit: Kit) -> None:
    """Without an app it takes the current one when it is entered, and opens another context of it."""
    manager = AppContextManager()
    with sqlite_kit.app.app_context():
        outer = sqlite_kit.db.session()
        g.value = 1
        with manager:
            assert current_app.name == sqlite_kit.app.name
            assert sqlite_kit.db.session() is not outer
            assert "value" not in g


def test_an_app_context_manager_without_an_app() -> None:
    """Without an app anywhere it says how to give one."""
    manager = AppContextManager()
    with (
        pytest.raises(NoAppError, match=r"Give it the app: 'AppContextManager\(app\)'") as caught,
        manager,
    ):
        pass
    assert "tests/test_contexts.py" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)


def test_app_context_managers_nest(sqlite_kit: Kit) -> None:
    """One object may be entered again inside itself: each time it is a new context."""
    manager = AppContextManager(sqlite_kit.app)
    with manager as outer:
        first = sqlite_kit.db.session()
        with manager as inner:
            second = sqlite_kit.db.session()
    assert (outer is inner, first is second, has_app_context()) == (False, False, False)


def test_app_context_managers_that_are_left_out_of_order(sqlite_kit: Kit) -> None:
    """Leaving the outer one first is an error at that line, and pops nothing."""
    outer, inner = AppContextManager(sqlite_kit.app), AppContextManager(sqlite_kit.app)
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(StaleContextError, match="Leave contexts from the inside out"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    assert not has_app_context()


def test_an_app_context_manager_that_was_left_already(sqlite_kit: Kit) -> None:
    """Leaving it when no context is pushed at all is the same error."""
    manager = AppContextManager(sqlite_kit.app)
    manager.__enter__()
    manager.__exit__(None, None, None)
    with pytest.raises(StaleContextError, match="left an AppContextManager"):
        manager.__exit__(None, None, None)


def test_an_app_context_manager_in_a_thread(kit: Kit) -> None:
    """A plain thread gets a context and a session of its own, beside a scope that waits."""

    def work() -> Any:
        with AppContextManager(kit.app), session_manager() as session:
            session.add(kit.Item(name="thread"))
            return session

    with kit.app.app_context(), session_manager() as outer, ThreadPoolExecutor(1) as executor:
        inner = executor.submit(work).result(timeout=10)
    assert (inner is outer, kit.names(), kit.checkedout()) == (False, ["thread"], 0)


def test_an_app_context_manager_of_another_app(make_kit: MakeKit) -> None:
    """The app that was given wins over the current one."""
    one, other = make_kit(), make_kit("sqlite-memory")
    with one.app.app_context(), AppContextManager(other.app), session_manager() as session:
        assert session.get_bind() is other.engine


def test_an_app_without_the_extension(make_kit: MakeKit) -> None:
    """``AppContextManager`` pushes the context of any app."""
    app = Flask("bare")
    with AppContextManager(app):
        assert current_app.name == "bare"
