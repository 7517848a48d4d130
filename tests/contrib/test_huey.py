"""Tasks of Huey, executed inside the process of the tests."""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import current_app, has_app_context, has_request_context
from huey.api import Huey, MemoryHuey, RedisHuey, Task, chord, group
from huey.exceptions import CancelExecution, TaskException
from sqlalchemy.orm import Session

from flask_safesession import session_manager
from flask_safesession.contrib.huey import _check_installed, enqueue_on_commit, init_huey
from flask_safesession.errors import DetachedArgumentError, NoAppError, NoTransactionError

from ..kit import Kit, MakeKit
from .huey_program import Tasks, declare_tasks, make_huey


@pytest.fixture
def huey(sqlite_kit: Kit) -> Huey:
    """A queue that executes at once."""
    huey = MemoryHuey(immediate=True)
    init_huey(huey, sqlite_kit.app)
    return huey


@pytest.fixture
def tasks(huey: Huey, sqlite_kit: Kit) -> Tasks:
    """Its tasks."""
    return declare_tasks(huey, sqlite_kit)


def perform(huey: Huey) -> None:
    """Execute what waits, as a worker does."""
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def test_a_task_has_a_context_of_its_own(sqlite_kit: Kit, tasks: Tasks) -> None:
    """In immediate mode too, where it is called from a request; nothing of it is left."""
    with sqlite_kit.app.test_request_context():
        result = tasks.surroundings()
        assert has_request_context()
    assert result() == ("surroundings", 0, True, False)
    assert not has_app_context()


def test_stock_tasks_use_the_session_of_the_request(sqlite_kit: Kit) -> None:
    """What this guards against: in Huey's immediate mode a task sees what its caller has not committed."""
    tasks = declare_tasks(MemoryHuey(immediate=True), sqlite_kit)
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="tea"))
        assert tasks.look("tea", 2)() is True


def test_a_task_does_not_see_its_caller(sqlite_kit: Kit, tasks: Tasks) -> None:
    """With its own session it looks through another connection."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="tea"))
        assert tasks.look("tea", 2)() is False


@pytest.mark.filterwarnings("ignore::flask_safesession.errors.UncommittedChangesWarning")
def test_transactions_are_asked_for(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """A task says so, or ``init_huey`` for those that do not."""
    tasks.store("tea")
    tasks.forget("milk")
    init_huey(huey, sqlite_kit.app, transactional=True)
    tasks.forget("sugar")
    assert sqlite_kit.names() == ["sugar", "tea"]


def test_a_task_is_committed_before_it_is_complete(kit: Kit) -> None:
    """Hooks and receivers find its row."""
    huey, seen = MemoryHuey(immediate=True), []
    tasks = declare_tasks(huey, kit)
    huey.post_execute()(lambda *_: seen.append(kit.names()))
    huey.signal("complete")(lambda *_: seen.append(kit.names()))
    init_huey(huey, kit.app)
    tasks.store("tea")
    assert seen == [["tea"], ["tea"]]


def test_a_commit_that_fails(make_kit: MakeKit) -> None:
    """The task fails, and is never complete."""
    kit, huey, told = make_kit("postgresql-psycopg"), MemoryHuey(immediate=True), []
    tasks = declare_tasks(huey, kit)
    init_huey(huey, kit.app)
    huey.signal()(lambda signal, *error: told.append((signal, len(error))))
    result = tasks.late()
    assert told == [("enqueued", 1), ("executing", 1), ("error", 2)]
    with pytest.raises(Exception, match="IntegrityError"):
        result()


def test_each_try_begins_anew(sqlite_kit: Kit, tasks: Tasks) -> None:
    """The second try could not store the same name again if the first had left it."""
    tasks.fail_once("tea")
    assert sqlite_kit.names() == ["tea"]


def test_periodic_tasks(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """They run as the scheduler enqueues them."""
    for task in huey.read_periodic(dt.datetime(2030, 1, 1)):  # noqa: DTZ001 - Huey's times have no zone
        huey.enqueue(task)
    assert sqlite_kit.names() == ["nightly"]


def test_hooks_and_receivers_have_sessions_of_their_own(sqlite_kit: Kit) -> None:
    """It does not matter whether they were registered before or after ``init_huey``."""
    huey = MemoryHuey(immediate=True)
    sessions: list[tuple[str, Session]] = []

    def note(name: str) -> Any:
        return lambda *_: sessions.append((name, sqlite_kit.db.session()))

    huey.pre_execute("earlier")(note("pre"))
    huey.signal("executing")(note("executing"))
    task = huey.task()(note("task"))
    init_huey(huey, sqlite_kit.app)
    huey.post_execute("later")(note("post"))
    huey.signal("complete")(note("complete"))
    with sqlite_kit.app.app_context():
        note("caller")()
        task()
    assert [name for name, _ in sessions] == [
        "caller",
        "executing",
        "pre",
        "task",
        "post",
        "complete",
    ]
    assert len({id(session) for _, session in sessions}) == 6


def test_hooks_go_on_working(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """They can cancel a task, and be taken away."""

    def cancel(task: Any) -> None:
        raise CancelExecution

    huey.pre_execute()(cancel)
    tasks.store("tea")
    assert huey.unregister_pre_execute(cancel)
    tasks.store("milk")
    assert sqlite_kit.names() == ["milk"]


def test_hooks_of_a_worker(sqlite_kit: Kit) -> None:
    """What a consumer calls at the start and at the end has a context as well."""
    huey, seen = MemoryHuey(), []
    init_huey(huey, sqlite_kit.app)
    huey.on_startup("begin")(lambda: seen.append(has_app_context()))
    huey.on_shutdown("end")(lambda: seen.append(has_app_context()))
    worker = huey.create_consumer()._create_worker()
    worker.initialize()
    worker.shutdown()
    assert seen == [True, True]


def test_pipelines_and_chords(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """Each part has its own context, also what follows an error."""
    huey.enqueue(tasks.store.s("tea").then(tasks.look, 9))
    huey.enqueue(group([tasks.store.s("milk"), tasks.store.s("sugar")]).then(tasks.join))
    huey.enqueue(tasks.late.s().error(tasks.fail_once.s("after the error")))
    assert sqlite_kit.names() == ["after the error", "milk", "milk+sugar", "sugar", "tea"]


def test_the_app_can_be_replaced(sqlite_kit: Kit, make_kit: MakeKit) -> None:
    """A factory that is called for each test initializes the same Huey again and again."""
    huey, other, seen = MemoryHuey(immediate=True), make_kit(), []
    task = huey.task()(lambda: current_app.name)
    huey.pre_execute("app")(lambda _: seen.append(current_app.name))
    for kit in (sqlite_kit, other):
        init_huey(huey, kit.app)
        assert task()() == kit.app.name
    assert seen == [sqlite_kit.app.name, other.app.name]


def test_a_factory_is_called_once_and_late(sqlite_kit: Kit) -> None:
    """A consumer imports Huey; the app may import it too."""
    huey, made = MemoryHuey(immediate=True), []

    def create_app() -> Any:
        made.append(True)
        return sqlite_kit.app

    init_huey(huey, create_app)
    tasks = declare_tasks(huey, sqlite_kit)
    assert made == []
    tasks.store("tea")
    tasks.store("milk")
    assert (made, sqlite_kit.names()) == ([True], ["milk", "tea"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((None, lambda: None), "'huey' is None"), ((MemoryHuey(), "shop"), "'app' is 'shop'")],
)
def test_what_init_huey_refuses(arguments: tuple[Any, Any], message: str) -> None:
    """The wrong way round, for example."""
    with pytest.raises(TypeError, match=message):
        init_huey(*arguments)


def test_what_enqueue_on_commit_refuses(sqlite_kit: Kit, tasks: Tasks) -> None:
    """The app in the place of the queue."""
    with pytest.raises(TypeError, match="'huey' is <Flask"):
        enqueue_on_commit(sqlite_kit.app, tasks.store.s("tea"))


def test_a_task_that_gives_a_coroutine(huey: Huey) -> None:
    """It fails and says why; recent versions of Huey refuse ``async def`` when it is declared."""

    async def restock() -> None:
        pass

    task = huey.task(name="restock")(lambda: restock())
    with pytest.raises(TaskException, match="The task 'restock' gave a coroutine"):
        task()()


# --- Enqueue on commit --------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite", "redis"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path, sqlite_kit: Kit) -> Iterator[Huey]:
    """A queue of each kind, which waits for a worker."""
    name = f"safesession-{secrets.token_hex(6)}"
    huey = MemoryHuey(name)
    if request.param == "sqlite":
        huey = make_huey(str(tmp_path / "huey.db"), name)
    if request.param == "redis":
        huey = make_huey(request.getfixturevalue("redis_url"), name)
    init_huey(huey, sqlite_kit.app)
    yield huey
    huey.flush()
    huey.storage.close()


def test_a_task_goes_out_after_the_commit(waiting: Huey, sqlite_kit: Kit) -> None:
    """Before it, the queue is empty; the id is known all the time."""
    tasks = declare_tasks(waiting, sqlite_kit)
    with sqlite_kit.app.app_context(), session_manager():
        task = enqueue_on_commit(waiting, tasks.store.s("tea"))
        assert len(waiting) == 0
    assert [each.id for each in waiting.pending()] == [task.id]
    perform(waiting)
    assert (waiting.result(task.id), sqlite_kit.names()) == ("tea", ["tea"])


def test_a_task_of_a_scope_that_rolls_back(waiting: Huey, sqlite_kit: Kit) -> None:
    """It never existed."""
    tasks = declare_tasks(waiting, sqlite_kit)
    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        enqueue_on_commit(waiting, tasks.store.s("tea"))
        raise KeyError
    assert len(waiting) == 0


def test_arguments_are_frozen(waiting: Huey, sqlite_kit: Kit) -> None:
    """What the caller does to a list later does not reach the task, nor those in a group or a chord."""
    tasks, names = declare_tasks(waiting, sqlite_kit), ["tea"]
    with sqlite_kit.app.app_context(), session_manager():
        enqueue_on_commit(waiting, tasks.join.s(names))
        enqueue_on_commit(waiting, group([tasks.join.s(names)]))
        enqueue_on_commit(waiting, chord([tasks.store.s("milk")], tasks.join.s().then(tasks.store)))
        names.append("sugar")
    assert [task.args for task in waiting.pending()] == [(["tea"],), (["tea"],), ("milk",)]


def test_a_chord_after_the_commit(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """Its parts and what follows them run."""
    with sqlite_kit.app.app_context(), session_manager():
        work = chord([tasks.store.s("tea"), tasks.store.s("milk")], tasks.join.s())
        assert enqueue_on_commit(huey, work.then(tasks.store)) is work
        assert sqlite_kit.names() == []
    assert sqlite_kit.names() == ["joined", "milk", "milk+tea", "tea"]


def test_outside_of_a_transaction(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """The task would never go out, and the error names it."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(
            NoTransactionError,
            match=r"The Huey task 'tests.contrib.huey_program.store\('tea'\)' \(",
        ),
    ):
        enqueue_on_commit(huey, tasks.store.s("tea"))


def test_a_redis_that_is_down(make_kit: MakeKit, caplog: pytest.LogCaptureFixture) -> None:
    """The commit stands, and the log names each task."""
    kit, huey = make_kit(options={"hook_errors": "log"}), RedisHuey(port=1)
    tasks = declare_tasks(huey, kit)
    init_huey(huey, kit.app)
    with caplog.at_level(logging.ERROR), kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="tea"))
        work = enqueue_on_commit(huey, chord([tasks.store.s("milk")], tasks.join.s()))
    parts = (
        f"the Huey task 'tests.contrib.huey_program.store('milk')' ({work.tasks[0].id})",
        f"the Huey task 'tests.contrib.huey_program.join()' ({work.callback.id})",
    )
    assert (kit.names(), caplog.messages) == (
        ["tea"],
        [
            f"The hook 'the Huey chord of {', '.join(parts)}' failed after the transaction had ended."
        ],
    )


def test_an_instance_is_refused(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """Huey itself pickles it, detached and out of date; also deep inside, and in what follows."""
    item = sqlite_kit.Item(name="tea")
    for work in (tasks.store.s([{"item": item}]), tasks.store.s("tea").then(tasks.join, item)):
        with (
            sqlite_kit.app.app_context(),
            session_manager(),
            pytest.raises(DetachedArgumentError, match=r"argument '1' of the Huey task .* 'Item'"),
        ):
            enqueue_on_commit(huey, work)


def test_an_instance_that_is_sent_at_once(sqlite_kit: Kit, waiting: Huey) -> None:
    """It is refused too: stock Huey pickles it, and the task works on a copy whose changes go nowhere."""
    tasks, item = declare_tasks(waiting, sqlite_kit), sqlite_kit.Item(name="tea")
    calls: list[Callable[[], Any]] = [
        lambda: tasks.store(item),
        lambda: tasks.store.schedule((item,), delay=1),
        lambda: tasks.store.map([item]),
        lambda: waiting.enqueue(tasks.store.s("tea").then(tasks.join, item)),
        lambda: waiting.enqueue(group([tasks.store.s(item)])),
        lambda: waiting.enqueue(chord([tasks.store.s("tea")], tasks.join.s(item))),
    ]
    for call in calls:
        with pytest.raises(DetachedArgumentError, match=r"argument '1' of the Huey task .* 'Item'"):
            call()
    assert len(waiting) == 0


def test_an_instance_that_is_handed_on(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """A task that returns one to the task that follows fails, and is rolled back."""

    def make() -> Any:
        sqlite_kit.session().add(item := sqlite_kit.Item(name="tea"))
        return item

    make_one = huey.task(transactional=True)(make)
    result = huey.enqueue(make_one.s().then(tasks.join))
    with pytest.raises(TaskException, match="argument 'result of make' of the Huey task"):
        result[0]()
    assert sqlite_kit.names() == []


def test_arguments_that_the_task_does_not_take(sqlite_kit: Kit, waiting: Huey) -> None:
    """They are refused at the call; what the end of a chord or a following task takes, nobody knows yet."""
    tasks = declare_tasks(waiting, sqlite_kit)
    with sqlite_kit.app.app_context(), session_manager():
        for work in (tasks.store.s(), tasks.store.s("a", 2), tasks.surroundings.s(1)):
            for send in (waiting.enqueue, lambda work: enqueue_on_commit(waiting, work)):
                with pytest.raises(TypeError, match=r"was given arguments that .* does not take"):
                    send(work)
        enqueue_on_commit(waiting, tasks.surroundings.s().then(tasks.look, 9))
        enqueue_on_commit(waiting, chord([tasks.store.s("tea")], tasks.join.s()))
    assert len(waiting) == 2


def test_what_a_consumer_has_taken_is_not_checked_again(sqlite_kit: Kit) -> None:
    """A message that another program has sent is tried as often as it asks for: a refusal would only lose it."""
    stock, huey = MemoryHuey("stock"), MemoryHuey("ours")
    sent = stock.task(name="odd", retries=1)(lambda: None).s(1)
    huey.task(name="odd", retries=1)(lambda: None)
    init_huey(huey, sqlite_kit.app)
    huey.storage.enqueue(stock.serialize_task(sent))
    told: list[str] = []
    huey.signal()(lambda signal, *_: told.append(signal))
    perform(huey)
    assert told == ["executing", "error", "retrying", "enqueued", "executing", "error"]


def test_a_class_of_tasks(sqlite_kit: Kit, huey: Huey) -> None:
    """One that was written by hand has no function that could be asked."""

    class Store(Task):  # type: ignore[misc] # Huey has no types
        def execute(self) -> None:
            sqlite_kit.session().add(sqlite_kit.Item(name=self.args[0]))

        transactional = True

    huey._registry.register(Store)
    huey.enqueue(Store(("tea",)))
    assert sqlite_kit.names() == ["tea"]


def test_a_transaction_without_an_app(sqlite_kit: Kit) -> None:
    """Huey takes any option of a task: without ``init_huey`` it would mean nothing, in silence."""
    huey = MemoryHuey("shop")
    tasks = declare_tasks(huey, sqlite_kit)
    with sqlite_kit.app.app_context(), session_manager():
        for work in (
            tasks.store.s("tea"),
            group([tasks.store.s("tea")]),
            chord([tasks.look.s("tea", 1)], tasks.join.s()),
        ):
            with pytest.raises(
                NoAppError, match=r"^The Huey task '.*Call 'init_huey\(huey, app\)' here"
            ):
                enqueue_on_commit(huey, work)
        enqueue_on_commit(huey, tasks.look.s("tea", 1))
    assert len(huey) == 1


def test_what_is_no_task(sqlite_kit: Kit, huey: Huey, tasks: Tasks) -> None:
    """The error knows the two mistakes that are near."""
    for work, hint in (
        (tasks.store, r"Call its '\.s\(…\)' with the arguments"),
        (tasks.surroundings(), "That was enqueued already, before the COMMIT"),
        ("store", r"a group or a chord\.$"),
    ):
        with sqlite_kit.app.app_context(), session_manager(), pytest.raises(TypeError, match=hint):
            enqueue_on_commit(huey, work)


def test_a_chord_of_tasks_without_transactions_needs_no_app() -> None:
    """What asks for nothing is sent as Huey sends it."""
    own = MemoryHuey(immediate=True)
    task = own.task()(abs)
    _check_installed(own, group([task.s(-1), task.s(-2)]))
