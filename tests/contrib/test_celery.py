"""Celery in one process: tasks that run eagerly, and messages in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, cast

import pytest
from celery import Celery, Task, shared_task, signals
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from flask import current_app, g, has_app_context, has_request_context
from sqlalchemy.exc import IntegrityError

from flask_safesession import current_scope, session_manager
from flask_safesession.contrib.celery import init_celery
from flask_safesession.errors import (
    NoAppError,
    StaleContextWarning,
    UncommittedChangesError,
    UnexpectedRollbackError,
)

from ..kit import Kit, MakeKit
from .celery_kit import make_celery, messages, task

EAGER: dict[str, Any] = {"task_always_eager": True, "task_eager_propagates": False}
TRANSACTIONAL: dict[str, Any] = {"options": {"celery_transactional": True}}


def eager(kit: Kit, **config: Any) -> Any:
    return make_celery(kit, **{**EAGER, **config})


def _turn() -> int:
    """How often it was called in this application context."""
    g.turn = g.get("turn", 0) + 1
    return int(g.turn)


# Where a body runs


def test_a_task_has_a_context_of_its_own(any_kit: Kit) -> None:
    """Its ``g`` and its session are not those of the caller."""
    celery = eager(any_kit)

    @task(celery)
    def look() -> Any:
        with session_manager() as session:
            return (current_app.name, "user" in g, id(session))

    with any_kit.app.app_context():
        g.user = "ada"
        with session_manager() as session:
            found = look.delay().get()
            assert found == (any_kit.app.name, False, found[2])
            assert found[2] != id(session)


def test_the_stock_celery_gives_a_task_none(sqlite_kit: Kit) -> None:
    """Without the extension a task works in its caller's session, or in no context at all."""
    celery = make_celery(None, **EAGER)

    @task(celery)
    def look() -> Any:
        return id(sqlite_kit.db.session()) if has_app_context() else None

    assert look.delay().get() is None
    with sqlite_kit.app.app_context():
        assert look.delay().get() == id(sqlite_kit.db.session())


def test_a_task_sees_no_request(sqlite_kit: Kit) -> None:
    """What runs eagerly in a view finds what it would find in a worker."""
    celery = eager(sqlite_kit)

    @task(celery)
    def look() -> bool:
        return has_request_context()

    with sqlite_kit.app.test_request_context():
        assert look.delay().get() is False
        assert has_request_context()


def test_a_plain_call_joins_its_caller(sqlite_kit: Kit) -> None:
    """``task()`` is a function call: same context, same session, same scope."""
    celery = eager(sqlite_kit)

    @task(celery)
    def add(name: str) -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name=name))

    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        add("tea")
        assert len(sqlite_kit.session().new) == 1
        raise KeyError
    assert sqlite_kit.names() == []


def test_a_plain_call_where_there_is_no_context(sqlite_kit: Kit) -> None:
    """It gets one, so that a script or a test may call a task."""
    celery = eager(sqlite_kit)

    @task(celery)
    def add(name: str) -> None:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name=name))

    add("tea")
    assert sqlite_kit.names() == ["tea"]


def test_a_plain_call_in_the_context_of_another_app(make_kit: MakeKit) -> None:
    """A task belongs to one Flask app, whoever calls it."""
    kit, other = make_kit(), make_kit()
    celery = eager(kit)

    @task(celery)
    def where() -> str:
        return current_app.name

    with other.app.app_context():
        assert (where(), current_app.name) == (kit.app.name, other.app.name)


def test_a_task_that_calls_itself(sqlite_kit: Kit) -> None:
    """The inner call is a plain call within the task's context."""
    celery = eager(sqlite_kit)

    @task(celery)
    def count(down: int) -> list[int]:
        return [_turn(), *(count(down - 1) if down else [])]

    assert count.delay(3).get() == [1, 2, 3, 4]


def test_two_celery_apps_in_one_process(make_kit: MakeKit) -> None:
    """Each runs its tasks in its own Flask app, also one inside the other."""
    kits = [make_kit(), make_kit()]
    apps = [eager(kit) for kit in kits]

    @task(apps[0])
    def outer() -> tuple[str, str]:
        return current_app.name, inner.delay().get(disable_sync_subtasks=False)

    @task(apps[1])
    def inner() -> str:
        return current_app.name

    assert outer.delay().get() == tuple(kit.app.name for kit in kits)


def test_the_items_of_a_map_are_one_task(sqlite_kit: Kit) -> None:
    """``map`` is one message, so its items have one context."""
    celery = eager(sqlite_kit)

    @task(celery)
    def look(_: int) -> int:
        return _turn()

    with sqlite_kit.app.app_context():
        assert (look.map([1, 2, 3]).delay().get(), _turn()) == ([1, 2, 3], 1)


# However it ends


@pytest.mark.parametrize(
    "error", [Ignore(), Reject("no"), Retry(), SoftTimeLimitExceeded(), KeyError("k")], ids=repr
)
def test_a_task_that_raises(make_kit: MakeKit, error: Exception) -> None:
    """Its context is left and its changes are gone, whatever it raised."""
    kit = make_kit(**TRANSACTIONAL)
    celery = eager(kit)

    @task(celery)
    def add() -> None:
        kit.session().add(kit.Item(name="tea"))
        kit.session().flush()
        raise error

    add.delay()
    assert (kit.names(), kit.checkedout(), has_app_context()) == ([], 0, False)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_task_that_ends_its_process(make_kit: MakeKit, error: type[BaseException]) -> None:
    """What no handler may catch goes on, and leaves nothing."""
    kit = make_kit(**TRANSACTIONAL)
    celery = eager(kit)

    @task(celery)
    def add() -> None:
        kit.session().add(kit.Item(name="tea"))
        kit.session().flush()
        raise error

    with pytest.raises(error):
        add.delay()
    assert (kit.names(), kit.checkedout(), has_app_context()) == ([], 0, False)


def test_a_task_that_leaves_a_context_behind(sqlite_kit: Kit) -> None:
    """It is popped, with a warning, and the next task starts clean."""
    celery = eager(sqlite_kit)

    @task(celery)
    def leave() -> None:
        sqlite_kit.app.app_context().push()

    with pytest.warns(
        StaleContextWarning, match=r"^'leave' \(.*test_celery.py:\d+\) left 1 context"
    ):
        leave.delay()
    assert not has_app_context()


def test_each_retry_has_a_session_of_its_own(sqlite_kit: Kit) -> None:
    """What the first try left is not in the second."""
    celery = eager(sqlite_kit)
    tries: list[Any] = []

    @task(celery, bind=True, max_retries=1)
    def add(self: Any) -> None:
        with session_manager() as session:
            tries.append((session, list(session.new)))
            session.add(sqlite_kit.Item(name="tea"))
            if self.request.retries == 0:
                raise self.retry(countdown=0)

    assert add.delay().state == "SUCCESS"
    assert ([new for _, new in tries], tries[0][0] is tries[1][0]) == ([[], []], False)
    assert sqlite_kit.names() == ["tea"]


# Handlers and signals


def handlers(seen: list[Any], kit: Kit) -> type[Any]:
    """A task class whose handlers note their session and leave something in it."""

    def note(name: str) -> None:
        session = kit.db.session()
        seen.append((name, session, list(session.new)))
        session.add(kit.Item(name=name))

    class Noting(Task):  # type: ignore[misc]
        def before_start(self, *_: Any) -> None:
            note("before_start")

        def on_success(self, *_: Any) -> None:
            note("on_success")

        def on_failure(self, *_: Any) -> None:
            note("on_failure")

        def on_retry(self, *_: Any) -> None:
            note("on_retry")

        def after_return(self, *_: Any) -> None:
            note("after_return")

    return Noting


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ["before_start", "body", "on_success", "after_return"]),
        (KeyError(), ["before_start", "body", "on_failure", "after_return"]),
        (Retry(), ["before_start", "body", "on_retry"]),
    ],
)
def test_each_handler_has_a_session_of_its_own(
    make_kit: MakeKit, error: Exception | None, expected: list[str]
) -> None:
    """None sees the task's or another's session, and what it leaves uncommitted is not stored."""
    kit = make_kit(options={"uncommitted": "off"})
    celery = eager(kit)
    seen: list[Any] = []

    @task(celery, base=handlers(seen, kit))
    def work() -> None:
        seen.append(("body", kit.db.session(), list(kit.session().new)))
        kit.session().add(kit.Item(name="body"))
        if error is not None:
            raise error

    with kit.app.app_context():
        work.delay()
        sessions = {id(session) for _, session, _ in seen} | {id(kit.db.session())}
    assert [name for name, _, _ in seen] == expected
    assert (len(sessions), [new for _, _, new in seen if new], kit.names()) == (
        len(expected) + 1,
        [],
        [],
    )


def test_what_a_handler_commits(sqlite_kit: Kit) -> None:
    """A failed task may note its failure: its own changes are gone, the handler's stay."""
    celery = eager(sqlite_kit)

    class Noting(Task):  # type: ignore[misc]
        def on_failure(self, *_: Any) -> None:
            with session_manager() as session:
                session.add(sqlite_kit.Item(name="failed"))

    @task(celery, base=Noting)
    def work() -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name="tea"))
        raise KeyError

    work.delay()
    assert sqlite_kit.names() == ["failed"]


@pytest.fixture
def receive() -> Iterator[Any]:
    """Connects receivers of signals, which are disconnected after the test."""
    connected: list[Any] = []

    def connect(signal: Any, receiver: Any, **options: Any) -> None:
        signal.connect(receiver, weak=False, **options)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


def test_each_receiver_has_a_session_of_its_own(make_kit: MakeKit, receive: Any) -> None:
    """Two receivers of one signal, the task, and the receivers of the next signal share nothing."""
    kit = make_kit(options={"uncommitted": "off"})
    seen: list[Any] = []

    def note(*, signal: Any, **_: Any) -> None:
        session = kit.db.session()
        seen.append((signal.name, session, list(session.new)))
        session.add(kit.Item(name=signal.name))

    def note_again(**named: Any) -> None:
        note(**named)

    receive(signals.task_prerun, note)
    celery = eager(kit)

    @task(celery)
    def work() -> None:
        seen.append(("body", kit.db.session(), list(kit.session().new)))

    receive(signals.task_prerun, note_again)
    receive(signals.task_success, note)
    receive(signals.task_postrun, note)
    work.delay()
    assert [name for name, _, _ in seen] == [
        "task_prerun",
        "task_prerun",
        "body",
        "task_success",
        "task_postrun",
    ]
    assert (len({id(session) for _, session, _ in seen}), [new for *_, new in seen if new]) == (
        5,
        [],
    )


@pytest.mark.parametrize(
    ("signal", "error"), [(signals.task_failure, KeyError()), (signals.task_retry, Retry())]
)
def test_the_receivers_of_what_went_wrong(
    sqlite_kit: Kit, receive: Any, signal: Any, error: Exception
) -> None:
    """They have a context too, and may store something."""
    celery = eager(sqlite_kit)

    def store(**_: Any) -> None:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="noted"))

    @task(celery)
    def work() -> None:
        raise error

    receive(signal, store)
    work.delay()
    assert sqlite_kit.names() == ["noted"]


def test_context_variables_of_a_receiver_reach_the_body(sqlite_kit: Kit, receive: Any) -> None:
    """Tracing begins a span in one receiver and ends it in another."""
    span: ContextVar[str] = ContextVar("span", default="none")
    celery = eager(sqlite_kit)
    seen: list[str] = []

    @task(celery)
    def work() -> None:
        seen.append(span.get())

    token: list[Any] = []
    receive(signals.task_prerun, lambda **_: token.append(span.set("span")))
    receive(signals.task_postrun, lambda **_: span.reset(token[0]))
    work.delay()
    assert (seen, span.get()) == (["span"], "none")


def test_a_receiver_that_fails(
    sqlite_kit: Kit, receive: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery's log line still names the receiver."""
    celery = eager(sqlite_kit)

    @task(celery)
    def work() -> None:
        pass

    def fail(**_: Any) -> None:
        raise KeyError("k")

    receive(signals.task_prerun, fail)
    work.delay()
    assert f"Signal handler {fail!r} raised: KeyError('k')" in caplog.messages


def test_a_signal_of_somebody_else(receive: Any, sqlite_kit: Kit) -> None:
    """Without an app to run in, a receiver runs as it would have run."""
    make_celery(sqlite_kit)
    celery = make_celery(None, **EAGER)
    seen: list[Any] = []

    @task(celery)
    def work() -> None:
        pass

    receive(signals.task_prerun, lambda **_: seen.append(has_app_context()))
    work.delay()
    signals.task_prerun.send(sender="a test")
    assert seen == [False, False]


# Which tasks


def test_a_task_that_was_made_before(sqlite_kit: Kit) -> None:
    """It does not matter whether Celery made the task before ``init_celery()``."""
    celery = make_celery(None, **EAGER)

    @task(celery)
    def used() -> Any:
        return has_app_context()

    @task(celery)
    def unused() -> Any:
        return has_app_context()

    assert used.delay().get() is False
    init_celery(celery, sqlite_kit.app)

    @task(celery)
    def later() -> Any:
        return has_app_context()

    assert [each.delay().get() for each in (used, unused, later)] == [True, True, True]
    assert all(hasattr(each, "delay_on_commit") for each in (used, unused, later))


def test_the_configuration_is_read_late(sqlite_kit: Kit) -> None:
    """``init_celery()`` reads none of Celery's settings, so they may be set after it."""
    celery = Celery("tests", set_as_current=False)

    @task(celery)
    def work() -> None:
        pass

    init_celery(celery, sqlite_kit.app)
    assert (celery.configured, celery.finalized) == (False, False)
    celery.config_from_object({"task_serializer": "pickle", "accept_content": ["pickle"]})
    assert work.serializer == "pickle"


class Base(Task):  # type: ignore[misc]
    """A class of the user's own, on Celery's class and not on that of the app."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ("called", has_app_context(), super().__call__(*args, **kwargs))


def test_a_class_with_a_call_of_its_own(sqlite_kit: Kit) -> None:
    """It is inside the context as well."""
    celery = eager(sqlite_kit)

    @task(celery, base=Base)
    def work() -> bool:
        return has_app_context()

    assert work.delay().get() == ("called", True, True)
    assert work() == ("called", True, True)


def test_the_class_that_the_documentation_of_flask_shows(sqlite_kit: Kit) -> None:
    """``celery.Task`` may be replaced, and may push a context itself."""
    celery = make_celery(None, **EAGER)

    class FlaskTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with sqlite_kit.app.app_context():
                return self.run(*args, **kwargs)

    celery.Task = FlaskTask
    init_celery(celery, sqlite_kit.app)

    @task(celery, transactional=True)
    def add(name: str) -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name=name))

    add.delay("tea")
    assert sqlite_kit.names() == ["tea"]


class Adding(Task):  # type: ignore[misc]
    """A task that is a class."""

    name = "tests.adding"
    transactional = True
    kit: Kit

    def run(self, name: str) -> None:
        self.kit.session().add(self.kit.Item(name=name))


def test_a_task_that_is_a_class(sqlite_kit: Kit) -> None:
    """``register_task()`` equips it, and what inherits from it, once."""
    celery = eager(sqlite_kit)

    class First(Adding):
        kit = sqlite_kit

    class Second(First):
        name = "tests.second"

    celery.register_task(First()).delay("tea")
    celery.register_task(Second()).delay("milk")
    assert sqlite_kit.names() == ["milk", "tea"]


def test_a_class_that_moved_to_another_app(sqlite_kit: Kit) -> None:
    """A task class follows the Celery app that it was registered with last, also to one without a Flask app."""

    class Looking(Task):  # type: ignore[misc]
        name = "tests.looking"

        def run(self) -> bool:
            return has_app_context()

        def on_success(self, *_: Any) -> None:
            self.kept = has_app_context()

    eager(sqlite_kit).register_task(Looking())
    looking = make_celery(None, **EAGER).register_task(Looking())
    assert (looking.delay().get(), looking(), looking.kept) == (False, False, False)


def test_a_shared_task(sqlite_kit: Kit) -> None:
    """It runs in the context of whichever Celery app runs it."""

    @cast("Callable[[Callable[..., Any]], Any]", shared_task(name="tests.shared"))
    def where() -> str:
        return current_app.name

    celery = eager(sqlite_kit)
    assert celery.tasks["tests.shared"].delay().get() == sqlite_kit.app.name


def test_annotations_of_the_user(sqlite_kit: Kit) -> None:
    """``task_annotations`` go on to work, and what they set has a context too."""
    seen: list[Any] = []

    def on_failure(self: Any, *_: Any) -> None:
        seen.append((self.rate_limit, has_app_context()))

    annotations = {"*": {"on_failure": on_failure, "rate_limit": "5/s"}}
    celery = eager(sqlite_kit, task_annotations=annotations)

    @task(celery)
    def work() -> None:
        raise KeyError

    work.delay()
    assert seen == [("5/s", True)]


def test_a_class_with_methods_of_these_names(sqlite_kit: Kit) -> None:
    """What a project has written itself stays."""
    celery = make_celery(sqlite_kit)

    class Own(Task):  # type: ignore[misc]
        def delay_on_commit(self) -> str:
            return "own"

    @task(celery, base=Own)
    def work() -> None:
        pass

    assert work.delay_on_commit() == "own"


def test_init_twice(make_kit: MakeKit) -> None:
    """The last Flask app counts, as in tests that make an app each; nothing is wrapped twice."""
    first, second = make_kit(), make_kit()
    celery = eager(first)

    @task(celery)
    def where() -> str:
        return current_app.name

    assert where.delay().get() == first.app.name
    with second.app.app_context():
        init_celery(celery, current_app)
    assert where.delay().get() == second.app.name


def test_init_with_the_wrong_objects(sqlite_kit: Kit) -> None:
    """The message shows both, for they may be in the wrong order."""
    celery = make_celery(None)
    with pytest.raises(TypeError, match="Give the Celery app and the Flask app, in this order"):
        init_celery(sqlite_kit.app, celery)
    with pytest.raises(TypeError, match=r"'init_celery\(\)' was given"):
        init_celery(celery, cast(Any, None))


async def coroutine() -> None:
    """A body that would never be awaited."""


def generator() -> Iterator[int]:
    """A body that would never run."""
    yield 1


@pytest.mark.parametrize(
    ("body", "kind"), [(coroutine, "a coroutine function"), (generator, "a generator function")]
)
def test_a_body_that_celery_would_not_run(sqlite_kit: Kit, body: Any, kind: str) -> None:
    """It is refused when Celery makes the task."""
    celery = make_celery(sqlite_kit)
    odd = task(celery, name="tests.odd")(body)
    with pytest.raises(TypeError, match=rf"The Celery task 'tests.odd' is {kind}: its body would"):
        odd.delay()


def test_a_coroutine_of_a_task_that_was_made_before(sqlite_kit: Kit) -> None:
    """It is refused by ``init_celery()``."""
    celery = make_celery(None)
    assert task(celery, name="tests.odd")(coroutine).name == "tests.odd"
    with pytest.raises(TypeError, match=r"'tests.odd' is a coroutine function"):
        init_celery(celery, sqlite_kit.app)


# In one transaction


def test_the_setting(make_kit: MakeKit) -> None:
    """Each body is one scope that has committed before the task succeeds."""
    kit = make_kit(**TRANSACTIONAL)
    celery = eager(kit)

    class Reading(Task):  # type: ignore[misc]
        stored: list[str]

        def on_success(self, *_: Any) -> None:
            self.stored = kit.names()

    @task(celery, base=Reading)
    def add(name: str) -> str:
        kit.session().add(kit.Item(name=name))
        scope = current_scope()
        assert scope is not None
        return scope.name or ""

    assert (add.delay("tea").get(), add.stored) == ("add", ["tea"])


def test_a_task_says_otherwise(make_kit: MakeKit) -> None:
    """``transactional=`` of a task wins over the setting."""
    kit = make_kit(**TRANSACTIONAL)
    celery = eager(kit)

    @task(celery, transactional=False)
    def plain() -> bool:
        return current_scope() is None

    assert plain.delay().get() is True


@pytest.mark.parametrize("given", ["yes", 1])
def test_a_task_says_nonsense(sqlite_kit: Kit, given: object) -> None:
    """Only True, False and None are answers."""
    celery = make_celery(sqlite_kit)

    @task(celery, name="tests.odd", transactional=given)
    def work() -> None:
        pass

    with pytest.raises(
        TypeError, match=rf"'transactional' of the Celery task 'tests.odd' is {given!r}"
    ):
        work.delay()


def test_a_plain_call_of_a_transactional_task(sqlite_kit: Kit) -> None:
    """It is one transaction where its caller has none, and joins the caller's where it has."""
    celery = make_celery(sqlite_kit)

    @task(celery, transactional=True)
    def add(name: str) -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name=name))

    add("tea")
    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        add("milk")
        raise KeyError
    assert sqlite_kit.names() == ["tea"]


def test_a_commit_that_fails(make_kit: MakeKit) -> None:
    """The task fails with it: there is no success with nothing stored."""
    kit = make_kit("postgresql-psycopg", **TRANSACTIONAL)
    celery = eager(kit)

    @task(celery)
    def add() -> None:
        kit.session().add(kit.LateChild(name="orphan", parent_id=999_999_999))

    result = add.delay()
    assert (result.state, type(result.result)) == ("FAILURE", IntegrityError)
    assert kit.count(kit.LateChild) == 0


@pytest.mark.parametrize("made", ["before", "after"])
def test_a_commit_that_fails_is_tried_again(make_kit: MakeKit, made: str) -> None:
    """``autoretry_for`` sees the COMMIT's error, whenever the task was made."""
    kit = make_kit("postgresql-psycopg", **TRANSACTIONAL)
    celery = make_celery(None, **EAGER)
    if made == "after":
        init_celery(celery, kit.app)

    @task(celery, bind=True, autoretry_for=(IntegrityError,), retry_kwargs={"countdown": 0})
    def add(self: Any) -> int:
        kit.session().add(kit.Item(name="tea"))
        if self.request.retries < 2:
            kit.session().add(kit.LateChild(name="orphan", parent_id=999_999_999))
        return int(self.request.retries)

    assert add.name
    init_celery(celery, kit.app)
    assert (add.delay().get(), kit.names()) == (2, ["tea"])


def test_the_stock_task_succeeds_with_nothing_stored(make_kit: MakeKit) -> None:
    """The teardown of a hand-written context rolls back what nobody committed, and the task is a success."""
    kit = make_kit(safe=False)
    celery = make_celery(None, **EAGER)

    @task(celery)
    def add() -> None:
        with kit.app.app_context():
            kit.session().add(kit.Item(name="tea"))

    assert (add.delay().state, kit.names()) == ("SUCCESS", [])


def test_changes_that_nobody_committed(make_kit: MakeKit) -> None:
    """Without the setting the guard speaks, and may fail the task."""
    kit = make_kit(options={"uncommitted": "raise"})
    celery = eager(kit)

    @task(celery)
    def add() -> None:
        kit.session().add(kit.Item(name="tea"))

    result = add.delay()
    assert (result.state, type(result.result), kit.names()) == (
        "FAILURE",
        UncommittedChangesError,
        [],
    )


def test_a_scope_that_was_doomed(make_kit: MakeKit) -> None:
    """Swallowing an error of a joined scope does not make a success."""
    kit = make_kit(**TRANSACTIONAL)
    celery = eager(kit)

    @task(celery)
    def add() -> None:
        with suppress(KeyError), session_manager():
            raise KeyError

    result = add.delay()
    assert type(result.result) is UnexpectedRollbackError


def test_a_task_without_a_database(make_kit: MakeKit) -> None:
    """An app that has no ``SafeSession`` yet has no setting, and its tasks a context."""
    kit = make_kit(safe=False)
    celery = eager(kit)

    @task(celery)
    def work() -> str:
        with pytest.raises(NoAppError):
            session_manager().__enter__()
        return current_app.name

    assert work.delay().get() == kit.app.name


def test_a_task_that_is_replaced(make_kit: MakeKit) -> None:
    """What it stored is committed first, and then the other task is sent, which would not see it before."""
    kit = make_kit(**TRANSACTIONAL)
    celery = make_celery(kit)
    seen: list[list[str]] = []

    @task(celery)
    def second() -> None:
        pass

    @task(celery, bind=True)
    def first(self: Any) -> None:
        kit.session().add(kit.Item(name="tea"))
        self.replace(second.si())

    signals.before_task_publish.connect(note := lambda **_: seen.append(kit.names()))
    celery.finalize()
    ended = build_tracer(first.name, first, app=celery)("an-id", (), {}, {"id": "an-id"})
    signals.before_task_publish.disconnect(note)
    assert (ended.info.state, seen, kit.names()) == ("IGNORED", [["tea"]], ["tea"])
    assert [message.headers["id"] for message in messages(celery)] == ["an-id"]


@pytest.mark.parametrize("transactional", [True, False])
def test_a_task_that_is_replaced_eagerly(make_kit: MakeKit, transactional: bool) -> None:
    """As ever: the other task runs at once, and gives its result."""
    celery = eager(make_kit(options={"celery_transactional": transactional}))

    @task(celery)
    def second() -> str:
        return "second"

    @task(celery, bind=True)
    def first(self: Any) -> Any:
        return self.replace(second.si())

    assert first.apply().get() == "second"
