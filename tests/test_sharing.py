"""A session serves one thread at a time."""

from __future__ import annotations

import contextvars
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, object_session

from flask_safesession import errors, handoff, on_commit, session_manager, stream_with_session
from flask_safesession._core import runners, sharing
from flask_safesession._core.ledger import ledger_of
from flask_safesession._unit import existing_unit

from .kit import Kit, MakeKit

Use = Callable[[Kit, Session], object]


def in_thread(fn: Callable[..., object], *arguments: Any, name: str = "worker-1") -> Any:
    """Call *fn* in a thread called *name* and in the same contexts; return or raise what comes out of it."""
    out: list[Any] = []
    copy = contextvars.copy_context()

    def run() -> None:
        try:
            out.extend((copy.run(fn, *arguments), None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            out.extend((None, error))

    thread = threading.Thread(target=run, name=name)
    thread.start()
    thread.join(20)
    value, error = out
    if error is not None:
        raise error
    return value


def refusal(fn: Callable[..., object], *arguments: Any) -> str:
    """The message of the refusal that *fn* gets in another thread."""
    with pytest.raises(errors.SessionSharedError) as caught:
        in_thread(fn, *arguments)
    return str(caught.value)


@pytest.fixture
def shared(sqlite_kit: Kit) -> Iterator[Session]:
    """A session that this thread has begun to use; a parent with a child, and a new item, are in it."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        session.add(sqlite_kit.Parent(id=1, name="p", children=[sqlite_kit.Child(id=1, name="c")]))
        session.commit()
        session.info["parent"] = session.get(sqlite_kit.Parent, 1)
        session.info["child"] = session.get(sqlite_kit.Child, 1)
        session.info["query"] = session.query(sqlite_kit.Parent)
        yield session
        session.rollback()


def _parent(session: Session) -> Any:
    return session.info["parent"]


def _session_of(instance: object) -> Any:
    return object_session(instance)


USES: dict[str, Use] = {
    "execute": lambda kit, session: session.execute(select(kit.Item)),
    "text": lambda kit, session: session.execute(text("SELECT 1")),
    "scalar": lambda kit, session: session.scalar(select(kit.Item)),
    "scalars": lambda kit, session: session.scalars(select(kit.Item)),
    "get": lambda kit, session: session.get(kit.Parent, 1),
    "get of what is not there": lambda kit, session: session.get(kit.Parent, 2),
    "add": lambda kit, session: session.add(kit.Item(name="a")),
    "add_all": lambda kit, session: session.add_all([kit.Item(name="a")]),
    "delete": lambda kit, session: session.delete(_parent(session)),
    "merge": lambda kit, session: session.merge(kit.Parent(id=1, name="other")),
    "flush": lambda kit, session: session.flush(),
    "commit": lambda kit, session: session.commit(),
    "prepare": lambda kit, session: session.prepare(),
    "rollback": lambda kit, session: session.rollback(),
    "close": lambda kit, session: session.close(),
    "reset": lambda kit, session: session.reset(),
    "invalidate": lambda kit, session: session.invalidate(),
    "begin": lambda kit, session: session.begin(),
    "begin_nested": lambda kit, session: session.begin_nested(),
    "connection": lambda kit, session: session.connection(),
    "query": lambda kit, session: session.query(kit.Item),
    "a query of the other thread": lambda kit, session: session.info["query"].all(),
    "bulk_save_objects": lambda kit, session: session.bulk_save_objects([kit.Item(name="a")]),
    "bulk_insert_mappings": lambda kit, session: session.bulk_insert_mappings(
        kit.Item, [{"name": "a"}]
    ),
    "bulk_update_mappings": lambda kit, session: session.bulk_update_mappings(
        kit.Parent, [{"id": 1, "name": "a"}]
    ),
    "refresh": lambda kit, session: session.refresh(_parent(session)),
    "expire": lambda kit, session: session.expire(_parent(session)),
    "expire_all": lambda kit, session: session.expire_all(),
    "expunge": lambda kit, session: session.expunge(_parent(session)),
    "expunge_all": lambda kit, session: session.expunge_all(),
    "in": lambda kit, session: _parent(session) in session,
    "iter": lambda kit, session: list(session),
    "new": lambda kit, session: session.new,
    "dirty": lambda kit, session: session.dirty,
    "deleted": lambda kit, session: session.deleted,
    "a lazy load": lambda kit, session: _parent(session).children,
    "a lazy load that needs no statement": lambda kit, session: session.info["child"].parent,
    "object_session": lambda kit, session: _session_of(session.info["child"]).commit(),
    "the transaction": lambda kit, session: session.get_transaction().commit(),  # type: ignore[union-attr]
    "its rollback": lambda kit, session: session.get_transaction().rollback(),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_each_use(sqlite_kit: Kit, shared: Session, use: Use) -> None:
    """Another thread is refused at its first call, whatever it calls, and nothing is changed."""
    message = refusal(use, sqlite_kit, shared)
    assert (
        "in thread 'worker-1' used the session that thread 'MainThread' got at 'shared'" in message
    )
    assert (list(shared.new), list(shared.dirty), shared.is_active) == ([], [], True)
    assert shared.scalar(select(sqlite_kit.Parent.name)) == "p"


def test_a_cascade(sqlite_kit: Kit, shared: Session) -> None:
    """A new object comes into the session by no call to it, but through one that is there."""
    children = _parent(shared).children
    refusal(children.append, sqlite_kit.Child(name="d"))
    assert list(shared.new) == []


def test_what_a_stock_session_loses(make_kit: MakeKit) -> None:
    """Stock SQLAlchemy acknowledges the commits of a thread whose rows another thread has rolled back."""
    kit = make_kit(safe=False)
    with kit.app.app_context():
        session = kit.db.session()
        for number in range(20):
            session.add(kit.Item(name=f"{number}"))
            in_thread(session.rollback if number % 2 else session.flush)
            session.commit()
    assert len(kit.names()) == 10


def test_nothing_is_lost(sqlite_kit: Kit) -> None:
    """The other thread is refused, and each acknowledged commit is stored."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        for number in range(20):
            session.add(sqlite_kit.Item(name=f"{number}"))
            refusal(session.rollback if number % 2 else session.flush)
            session.commit()
    assert len(sqlite_kit.names()) == 20


def test_two_threads_at_the_same_time(sqlite_kit: Kit) -> None:
    """Of two that begin with a session together one gets it; all that it commits is stored, and nothing else."""
    together = threading.Barrier(2, timeout=20)
    stored: list[str] = []
    refused: list[str] = []

    def store(name: str) -> None:
        together.wait()
        for number in range(50):
            try:
                session.add(sqlite_kit.Item(name=f"{name}{number}"))
                session.commit()
                stored.append(f"{name}{number}")
            except errors.SessionSharedError:
                refused.append(name)
        together.wait()

    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        copies = {name: contextvars.copy_context() for name in "ab"}
        threads = [
            threading.Thread(target=copy.run, args=(store, name)) for name, copy in copies.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert (sqlite_kit.names(), len(stored), set(refused)) == (sorted(stored), 50, {refused[0]})


def test_the_message(sqlite_kit: Kit, shared: Session) -> None:
    """It names both threads, where each used the session, and the two ways out."""
    assert refusal(shared.commit).endswith(
        "A session serves one thread, greenlet or task at a time. Open one of its own with 'session_manager()' inside "
        "'with AppContextManager(app):', or let its holder pass it on with 'handoff(session)'."
    )


def test_a_warning(make_kit: MakeKit) -> None:
    """``"warn"`` warns at the caller's line, and does what was called."""
    kit = make_kit(options={"sharing": "warn"})
    with kit.app.app_context():
        session = kit.db.session()
        session.add(kit.Item(name="a"))
        with pytest.warns(errors.SessionSharedWarning, match="thread 'MainThread'") as caught:
            in_thread(session.commit)
    assert (caught[0].filename, kit.names()) == (__file__, ["a"])


def test_off(make_kit: MakeKit) -> None:
    """``"off"`` lets everything pass."""
    kit = make_kit(options={"sharing": "off"})
    with kit.app.app_context():
        session = kit.db.session()
        session.add(kit.Item(name="a"))
        in_thread(session.commit)
    assert kit.names() == ["a"]


def test_the_first_user_has_it(sqlite_kit: Kit) -> None:
    """Not the one that made it, nor the one whose context it belongs to."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        begun, done = threading.Event(), threading.Event()
        copy = contextvars.copy_context()

        def work() -> None:
            session.add(sqlite_kit.Item(name="a"))
            begun.set()
            done.wait(20)
            session.commit()

        thread = threading.Thread(target=copy.run, args=(work,))
        thread.start()
        begun.wait(20)
        with pytest.raises(errors.SessionSharedError):
            session.commit()
        done.set()
        thread.join(20)
    assert sqlite_kit.names() == ["a"]


def test_a_session_made_without_an_app(make_kit: MakeKit) -> None:
    """A session made when the program was imported goes to the thread that uses it first."""
    kit = make_kit(flavour="sessionmaker")
    session = kit.db()
    session.execute(text("SELECT 1"))
    assert "'MainThread'" in refusal(session.commit)
    session.close()


def test_the_setting_of_the_app_where_it_is_used(make_kit: MakeKit) -> None:
    """A session made without an app follows the app of whoever uses it."""
    kit = make_kit(flavour="sessionmaker", options={"sharing": "off"})
    session = kit.db()
    session.execute(text("SELECT 1"))

    def use() -> None:
        with kit.app.app_context():
            session.commit()

    in_thread(use)
    session.close()


def test_a_commit_inside_a_scope(sqlite_kit: Kit) -> None:
    """A foreign thread is told that the session is not its own before it is told that the transaction is not."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
        assert "got at 'test_a_commit_inside_a_scope'" in refusal(session.commit)
    assert sqlite_kit.names() == ["a"]


def test_a_connection_inside_a_scope(sqlite_kit: Kit) -> None:
    """The same for the connection of a session."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
        session.flush()
        refusal(session.connection().commit)
    assert sqlite_kit.names() == ["a"]


def _open(**options: Any) -> None:
    with session_manager(**options):
        pass


@pytest.mark.parametrize("propagation", ["required", "nested", "requires_new"])
def test_one_context_in_two_threads(sqlite_kit: Kit, propagation: str) -> None:
    """A context that was pushed once is no place for the scopes of several threads; the message names the way out."""
    with sqlite_kit.app.app_context():
        sqlite_kit.db.session.execute(text("SELECT 1"))
        assert "'with AppContextManager(app):'" in refusal(lambda: _open(propagation=propagation))


@pytest.mark.parametrize("propagation", ["required", "nested", "requires_new", "not_supported"])
def test_a_scope_in_the_scope_of_another_thread(sqlite_kit: Kit, propagation: str) -> None:
    """It neither joins that nor suspends it."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
        refusal(lambda: _open(propagation=propagation))
    assert sqlite_kit.names() == ["a"]


def test_a_hook_of_another_thread(sqlite_kit: Kit) -> None:
    """It cannot be registered with a transaction of somebody else."""
    with sqlite_kit.app.app_context(), session_manager():
        refusal(on_commit, print)


def test_a_block_that_another_thread_leaves(sqlite_kit: Kit) -> None:
    """The transaction is not ended there, and the thread that opened the block can still leave it."""
    with sqlite_kit.app.app_context():
        scope = session_manager()
        session = scope.__enter__()
        session.add(sqlite_kit.Item(name="a"))
        refusal(scope.__exit__, None, None, None)
        scope.__exit__(None, None, None)
    assert sqlite_kit.names() == ["a"]


def test_requests_in_a_context_that_lasts(sqlite_kit: Kit) -> None:
    """The end of a request rolls back what it began, not what another thread has begun in the same context."""
    app = sqlite_kit.app
    app.add_url_rule("/", view_func=lambda: "done")
    with app.app_context():
        session = sqlite_kit.db.session()

        def view() -> str:
            session.add(sqlite_kit.Item(name="a"))
            assert in_thread(app.test_client().get, "/").text == "done"
            session.commit()
            return "stored"

        app.add_url_rule("/store", view_func=view)
        assert app.test_client().get("/store").text == "stored"
    assert sqlite_kit.names() == ["a"]


def test_a_thread_that_has_ended(sqlite_kit: Kit) -> None:
    """What it has committed is out of its hands; the next one goes on with the session."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        for name in "ab":
            in_thread(_store, session, sqlite_kit.Item(name=name))
        session.add(sqlite_kit.Item(name="c"))
        session.commit()
    assert sqlite_kit.names() == ["a", "b", "c"]


def _store(session: Session, item: object) -> int:
    session.add(item)
    session.commit()
    return threading.get_ident()


def test_what_an_ended_thread_left_open(sqlite_kit: Kit) -> None:
    """Nobody commits it by accident, not even a thread with the same ident; anybody may roll it back."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        first = in_thread(_add, session, sqlite_kit.Item(name="a"))
        for _ in range(100):
            message, ident = in_thread(_refused, session)
            assert "left a transaction open" in message
            if ident == first:
                break
        else:
            pytest.fail("no thread got the ident of the first")
        session.rollback()
        session.add(sqlite_kit.Item(name="b"))
        session.commit()
    assert sqlite_kit.names() == ["b"]


def _add(session: Session, item: object) -> int:
    session.add(item)
    return threading.get_ident()


def _refused(session: Session) -> tuple[str, int]:
    with pytest.raises(errors.SessionSharedError) as caught:
        session.commit()
    return str(caught.value), threading.get_ident()


def test_a_context_that_ends_elsewhere(sqlite_kit: Kit) -> None:
    """The end of a context closes what another thread has used in it."""
    used, ended = threading.Event(), threading.Event()
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        copy = contextvars.copy_context()

        def work() -> None:
            session.execute(text("SELECT 1"))
            used.set()
            ended.wait(20)
            with pytest.raises(errors.StaleContextError):
                session.execute(text("SELECT 1"))

        thread = threading.Thread(target=copy.run, args=(work,))
        thread.start()
        used.wait(20)
    assert sqlite_kit.checkedout() == 0
    ended.set()
    thread.join(20)


def test_a_stream(sqlite_kit: Kit) -> None:
    """A body keeps its session and its open scope, whichever thread asks for the next chunk."""

    def body() -> Iterator[str]:
        for name in "ab":
            with session_manager() as session:
                session.add(sqlite_kit.Item(name=name))
                yield name

    with sqlite_kit.app.app_context():
        stream = stream_with_session(body())
    assert [in_thread(next, stream, None) for _ in range(3)] == ["a", "b", None]
    assert sqlite_kit.names() == ["a", "b"]


def _use_and_return(session: Session) -> None:
    session.execute(text("SELECT 1"))
    handoff(session)


class TestHandoff:
    """``handoff()``."""

    def test_to_a_thread(self, sqlite_kit: Kit) -> None:
        """The thread goes on with the transaction; the giver is refused before and after it has begun."""
        with sqlite_kit.app.app_context():
            session = sqlite_kit.db.session()
            session.add(sqlite_kit.Item(name="a"))
            handoff(session)
            with pytest.raises(errors.SessionSharedError, match=r"passed it on with 'handoff\(\)'"):
                session.commit()
            in_thread(_add, session, sqlite_kit.Item(name="b"))
            with pytest.raises(errors.SessionSharedError):
                session.commit()
            in_thread(lambda: (session.rollback(), session.close()))

    @pytest.mark.parametrize("give", [lambda kit: kit.db, lambda kit: kit.db()])
    def test_the_end_of_the_givers_context(self, make_kit: MakeKit, give: Any) -> None:
        """It leaves the session alone: the new holder commits, and closes it."""
        kit = make_kit(flavour="scoped_session")
        with kit.app.app_context():
            session = kit.db()
            session.add(kit.Item(name="a"))
            session.flush()
            kit.safe.handoff(give(kit))
        in_thread(lambda: (session.commit(), session.close()))
        assert kit.names() == ["a"]

    def test_and_back(self, sqlite_kit: Kit) -> None:
        """What was lent and handed back ends with its context again."""
        with sqlite_kit.app.app_context():
            session = sqlite_kit.db.session()
            handoff(session)
            in_thread(_use_and_return, session)
            session.execute(text("SELECT 1"))
        assert sqlite_kit.checkedout() == 0

    def test_of_somebody_else(self, shared: Session) -> None:
        """Nobody gives away what another has."""
        assert "thread 'MainThread'" in refusal(handoff, shared)

    def test_inside_a_scope(self, sqlite_kit: Kit) -> None:
        """The scope ends in the thread that opened it."""
        with (
            sqlite_kit.app.app_context(),
            session_manager() as session,
            pytest.raises(errors.TransactionActiveError, match="'test_inside_a_scope' owns"),
        ):
            handoff(session)

    @pytest.mark.parametrize("wrong", [None, "session", Session()])
    def test_of_something_else(self, wrong: Any) -> None:
        """Only a guarded session can be given away."""
        with pytest.raises(TypeError, match="which no SafeSession guards"):
            handoff(wrong)


def test_the_settings_are_checked(make_kit: MakeKit) -> None:
    """The setting takes three words."""
    with pytest.raises(ValueError, match="'raise', 'warn', 'off'"):
        make_kit(options={"sharing": "yes"})


def test_it_says_so_once_per_line(make_kit: MakeKit) -> None:
    """A loop warns once."""
    kit = make_kit(options={"sharing": "warn"})
    with kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        session = kit.db.session()
        session.execute(text("SELECT 1"))
        in_thread(lambda: [session.flush() for _ in range(3)])
    assert len(caught) == 1


def test_the_one_that_has_it_may_expunge(sqlite_kit: Kit, shared: Session) -> None:
    """As it may do everything."""
    parent = shared.info["parent"]
    shared.expunge(parent)
    assert parent not in shared


def test_the_one_that_comes_second_is_refused(
    sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads found the session free, and the other one was faster."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session()
        in_thread(lambda: (session.execute(text("SELECT 1")), session.rollback()))
        fast = ledger_of(session).seat["tenant"]
        with monkeypatch.context() as patched, pytest.raises(errors.SessionSharedError):
            patched.setattr(sharing, "_enter", lambda *_: fast)
            session.execute(text("SELECT 1"))


def test_a_runner_that_is_gone_has_no_name() -> None:
    """It may end while the message is written."""
    gone: Any = lambda: None  # noqa: E731 - what a weak reference to it returns
    assert runners.described(gone) == "a thread or task that has ended"


def test_a_session_that_another_thread_has_does_not_rest(sqlite_kit: Kit) -> None:
    """A stream that goes on in another thread lets go of its own sessions only."""
    with sqlite_kit.app.app_context():
        sqlite_kit.session().execute(text("SELECT 1"))
        unit = existing_unit()
        assert unit is not None
        in_thread(unit.rest)
        assert sqlite_kit.session().scalar(text("SELECT 2")) == 2
