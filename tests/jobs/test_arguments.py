"""What a job may be handed: stock executors hand over instances, which two threads then use at once."""

from __future__ import annotations

import functools
import queue
from collections import ChainMap, Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from flask import current_app, g, request
from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.exc import DetachedInstanceError

from flask_safesession import AppContextManager, session_manager, transactional
from flask_safesession._jobs.arguments import what_is_bound
from flask_safesession.errors import DetachedArgumentError

from ..kit import Kit, MakeKit


@dataclass
class Order:
    """Something that holds what it is given."""

    what: Any
    number: int = 1
    note: str = field(default="", init=False)


@dataclass(frozen=True)
class FrozenOrder:
    """The same, not to be changed."""

    what: Any


Pair = namedtuple("Pair", ["first", "second"])  # noqa: PYI024 - as untyped code has them

WRAPPINGS: list[Callable[[Any], Any]] = [
    lambda value: value,
    lambda value: [1, value],
    lambda value: (1, value),
    lambda value: {1, value},
    lambda value: frozenset({1, value}),
    lambda value: {"key": [value]},
    lambda value: OrderedDict(key=value),
    lambda value: {value: "key"},
    lambda value: Order(value),
    lambda value: FrozenOrder((value,)),
    lambda value: Pair(1, value),
    lambda value: deque([value]),
    lambda value: SimpleNamespace(what=value),
]


def _flat(value: Any) -> list[Any]:
    """What is in the wrappings above, however deep."""
    if isinstance(value, (Order, FrozenOrder, SimpleNamespace)):
        return _flat(value.what)
    if isinstance(value, dict):
        return [part for pair in value.items() for each in pair for part in _flat(each)]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [part for each in value for part in _flat(each)]
    return [value]


def _stored(kit: Kit, name: str = "a") -> Any:
    item = kit.Item(name=name)
    kit.db.session.add(item)
    kit.db.session.commit()
    return item


def _use(value: Any = None, *more: Any, **named: Any) -> None:
    pytest.fail("the job has run")


def test_stock_executors_hand_an_instance_over(make_kit: MakeKit) -> None:
    """What this file guards against: the job reads an instance that its submitter's session has expired or closed."""
    kit = make_kit(safe=False)

    def job(item: Any) -> str:
        with kit.app.app_context():
            name: str = item.name
            return name

    with ThreadPoolExecutor(1) as executor:
        with kit.app.app_context():
            item = _stored(kit)
        with pytest.raises(DetachedInstanceError):
            executor.submit(job, item).result(10)


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize("named", [False, True])
def test_an_instance_is_refused(sqlite_kit: Kit, wrap: Callable[[Any], Any], named: bool) -> None:
    """However deep it lies; the message names the model and the argument."""
    manager = AppContextManager(sqlite_kit.app)
    text = r"'test_an_instance_is_refused' .* handed an instance of 'Item' to '_use' in the argument 'value'"
    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        value = wrap(_stored(sqlite_kit))
        with pytest.raises(DetachedArgumentError, match=text):
            executor.submit(_use, value=value) if named else executor.submit(_use, value)


def test_every_way_to_another_thread_refuses(sqlite_kit: Kit) -> None:
    """``map``, threads and ``to_thread`` refuse as well."""
    manager = AppContextManager(sqlite_kit.app)
    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        item = _stored(sqlite_kit)
        with pytest.raises(DetachedArgumentError):
            executor.map(_use, [item])
        with pytest.raises(DetachedArgumentError):
            manager.thread(_use, (item,))
        with pytest.raises(DetachedArgumentError):
            manager.thread(_use, kwargs={"value": item})
        with pytest.raises(DetachedArgumentError):
            manager.to_thread(_use, item).send(None)


def test_a_wrapped_function_takes_everything(sqlite_kit: Kit) -> None:
    """In the thread of its caller an instance does no harm."""
    with sqlite_kit.app.app_context():
        item = _stored(sqlite_kit)
        assert AppContextManager(sqlite_kit.app).wrap(lambda given: given)(item) is item


def test_proxies_sessions_and_queries_are_refused(sqlite_kit: Kit) -> None:
    """They mean nothing, or something else, in another thread; the message says what it was."""
    kit = sqlite_kit
    with kit.app.test_request_context(), AppContextManager(kit.app).executor(1) as executor:
        session = kit.db.session
        values = {
            "the proxy 'request'": request,
            "the proxy 'current_app'": current_app,
            "the proxy 'g'": g,
            "a 'scoped_session'": session,
            f"a '{type(session()).__name__}'": session(),
            f"a '{type(session.query(kit.Item)).__name__}'": session.query(kit.Item),
            "a 'Connection'": session.connection(),
            "a 'ScalarResult'": session.scalars(select(kit.Item)),
        }
        for text, value in values.items():
            with pytest.raises(DetachedArgumentError, match=f"handed {text} to '_use'"):
                executor.submit(_use, [value])


def test_plain_values_pass_as_they_are(sqlite_kit: Kit) -> None:
    """What holds no instance is the same object in the job, also when it contains itself."""
    circle: list[Any] = [1]
    circle.append(circle)
    values = [
        circle,
        {"a": [1]},
        Order(2),
        Pair(1, 2),
        sqlite_kit.app,
        select(sqlite_kit.Item),
        Order,
    ]
    with AppContextManager(sqlite_kit.app, instances="reload").executor(1) as executor:
        results = [executor.submit(lambda given: given, value).result(10) for value in values]
    assert [one is other for one, other in zip(results, values, strict=True)] == [True] * len(
        values
    )


class _Work:
    def __init__(self, model: Any) -> None:
        self.model = model

    def run(self) -> None:
        _use()


@pytest.mark.parametrize("instances", ["raise", "reload"])
def test_what_a_function_is_bound_to(sqlite_kit: Kit, instances: Any) -> None:
    """A method of an instance is refused, and so is a partial that holds one: they cannot be reloaded."""
    manager = AppContextManager(sqlite_kit.app, instances=instances)
    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        item = _stored(sqlite_kit)
        type(item).work = _use
        for fn in (
            item.work,
            functools.partial(_use, item),
            functools.partial(_use, value=item),
            functools.partial(item.work),
        ):
            with pytest.raises(DetachedArgumentError, match="an instance of 'Item'"):
                executor.submit(fn)


def test_a_value_of_g_is_an_argument(sqlite_kit: Kit) -> None:
    """What ``propagate_g`` takes along is checked like the rest."""
    manager = AppContextManager(sqlite_kit.app, propagate_g=("user",))
    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        g.user = _stored(sqlite_kit)
        with pytest.raises(DetachedArgumentError, match=r"in the argument 'g\.user'"):
            executor.submit(_use)


def test_a_value_of_g_for_a_callback(sqlite_kit: Kit) -> None:
    """Another thread calls it too: the instance itself once went there."""
    kit, seen = sqlite_kit, queue.SimpleQueue[Any]()
    raising = AppContextManager(kit.app, propagate_g=("user",))
    reloading = AppContextManager(kit.app, propagate_g=("user",), instances="reload")
    with kit.app.app_context(), raising.executor(1) as first, reloading.executor(1) as second:
        futures = [first.submit(int), second.submit(int)]
        g.user = user = _stored(kit, "ann")
        with pytest.raises(DetachedArgumentError, match=r"in the argument 'g\.user'"):
            futures[0].add_done_callback(_use)
        futures[1].add_done_callback(lambda _: seen.put((g.user is user, g.user.name)))
        assert seen.get(timeout=10) == (False, "ann")


def test_an_argument_without_a_name(sqlite_kit: Kit) -> None:
    """A function that does not tell its parameters has numbered ones."""
    with sqlite_kit.app.app_context(), AppContextManager(sqlite_kit.app).executor(1) as executor:
        item = _stored(sqlite_kit)
        with pytest.raises(DetachedArgumentError, match="in the argument '2'"):
            executor.submit(print, 1, item)
        with pytest.raises(DetachedArgumentError, match="in the argument '1'"):
            executor.submit(max, item, 1)
        with pytest.raises(DetachedArgumentError, match="in the argument '3'"):
            executor.submit(_use, 1, 2, item)


# --- instances="reload"


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_an_instance_is_reloaded(any_kit: Kit, wrap: Callable[[Any], Any]) -> None:
    """The job gets the row's instance of its own session, in the same kind of container."""
    kit = any_kit
    manager = AppContextManager(kit.app, instances="reload")
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a", amount=3))

    def job(value: Any, *, named: Any) -> tuple[Any, ...]:
        item = next(each for each in _flat(value) if isinstance(each, kit.Item))
        again = next(each for each in _flat(named) if isinstance(each, kit.Item))
        with session_manager() as session:
            return item, again is item, item in session, item.amount, type(value)

    with kit.app.app_context(), session_manager() as session, manager.executor(1) as executor:
        item = session.scalars(select(kit.Item)).one()
        value = wrap(item)
        reloaded, same, own, amount, kind = executor.submit(job, value, named=wrap(item)).result(10)
    assert (reloaded is item, same, own, amount, kind) == (False, True, True, 3, type(value))


def test_a_value_of_g_is_reloaded(sqlite_kit: Kit) -> None:
    """An instance in ``g`` travels as its key too."""
    manager = AppContextManager(sqlite_kit.app, propagate_g=("user",), instances="reload")
    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        g.user = _stored(sqlite_kit, "ann")
        assert executor.submit(lambda: g.user.name).result(10) == "ann"


def test_a_composite_key(sqlite_kit: Kit) -> None:
    """All parts of a primary key travel."""

    class Base(DeclarativeBase):
        pass

    class Seat(Base):
        __tablename__ = "seat"
        row: Mapped[int] = mapped_column(primary_key=True)
        number: Mapped[str] = mapped_column(primary_key=True)

    kit = sqlite_kit
    Base.metadata.create_all(kit.engine)
    manager = AppContextManager(kit.app, instances="reload")
    with kit.app.app_context(), manager.executor(1) as executor:
        seat = Seat(row=3, number="b")
        kit.db.session.add(seat)
        kit.db.session.commit()
        assert executor.submit(lambda given: inspect(given).identity, seat).result(10) == (3, "b")
        kit.db.session.delete(seat)
        kit.db.session.commit()
        with pytest.raises(
            DetachedArgumentError, match=r"The 'Seat' \(3, 'b'\) that '.*' was to work on"
        ):
            executor.submit(_use, seat).result(10)


def test_an_instance_that_was_never_stored(sqlite_kit: Kit) -> None:
    """It has no key to send, and is refused at submit."""
    manager = AppContextManager(sqlite_kit.app, instances="reload")
    with (
        manager.executor(1) as executor,
        pytest.raises(
            DetachedArgumentError, match=r"'Item' that was never stored .* Commit it first"
        ),
    ):
        executor.submit(_use, sqlite_kit.Item(name="a"))


def test_a_row_that_is_gone(kit: Kit) -> None:
    """The error is in the future, and the job does not run; it never sees None."""
    manager = AppContextManager(kit.app, instances="reload")
    with kit.app.app_context(), manager.executor(1) as executor:
        item = _stored(kit)
        kit.db.session.execute(delete(kit.Item))
        kit.db.session.commit()
        kit.db.session.expunge_all()
        future = executor.submit(_use, item)
        with pytest.raises(DetachedArgumentError, match="is not stored"):
            future.result(10)
    assert kit.checkedout() == 0


# --- what is looked for


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_finding_an_instance(sqlite_kit: Kit, wrap: Callable[[Any], Any]) -> None:
    """What a value holds, in words."""
    assert (what_is_bound(wrap(sqlite_kit.Item())), what_is_bound(wrap(Order))) == (
        "an instance of 'Item'",
        None,
    )


# --- calls that cannot work


async def _coroutine() -> None:
    pass


def _generator() -> Iterator[int]:
    yield 1


class _AsyncCall:
    async def __call__(self) -> None:
        pass


def _two(first: int, second: int = 2, /) -> int:
    return first + second


@transactional
def _in_a_scope(number: int) -> int:
    return number


@functools.wraps(_two)
def _adding(number: int) -> int:
    return _two(1, number)


@functools.wraps(_two)
def _wrapped(*args: Any) -> int:
    return _two(*args)


def _with_default(number: int, other: object = object) -> int:
    return number


class _Callable:
    def __call__(self, number: int) -> int:
        return number


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "text"),
    [
        (_coroutine, (), {}, "'_coroutine' is a coroutine function, and nobody would run its body"),
        (_generator, (), {}, "'_generator' is a generator function, and nobody would run its body"),
        (_AsyncCall(), (), {}, "is a coroutine function"),
        (3, (), {}, "The job is 3, which cannot be called"),
        (
            _two,
            (),
            {},
            r"submitted '_two\(.*' with arguments .*: missing a required argument: 'first'",
        ),
        (_two, (1, 2, 3), {}, "too many positional arguments"),
        (_two, (1,), {"second": 3}, "positional"),
        (_in_a_scope, (), {}, "missing a required argument: 'number'"),
        (_adding, (1, 2), {}, "too many positional arguments"),
        (_Callable(), (), {}, "missing a required argument: 'number'"),
        (_Work(1).run, (1,), {}, "too many positional arguments"),
    ],
)
def test_a_call_that_cannot_work(
    sqlite_kit: Kit, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    """It is refused where it is submitted."""
    manager = AppContextManager(sqlite_kit.app)
    with manager.executor(1) as executor, pytest.raises(TypeError, match=text):
        executor.submit(fn, *args, **kwargs)
    with pytest.raises(TypeError, match=text):
        manager.thread(fn, args, kwargs)


@pytest.mark.parametrize(
    ("fn", "args", "result"),
    [
        (_two, (1,), 3),
        (_two, (1, 4), 5),
        (_wrapped, (1,), 3),
        (_adding, (2,), 3),
        (_Callable(), (7,), 7),
        (_Callable().__call__, (7,), 7),
        (_with_default, (7,), 7),
        (max, (1, 2), 2),
    ],
)
def test_a_call_that_works(sqlite_kit: Kit, fn: Any, args: tuple[Any, ...], result: int) -> None:
    """Whatever can be called with its arguments is run, built-in functions that do not tell theirs too."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        assert executor.submit(fn, *args).result(10) == result


# --- what a hostile user found


class _Fence(namedtuple("_Fence", ["first", "second"])):  # noqa: PYI024, SLOT002 - as untyped code has them
    def __new__(cls, first: Any) -> Any:
        return super().__new__(cls, first, None)


class _Box(list[Any]):
    pass


class _Tuple(tuple[Any, ...]):
    __slots__ = ()


@dataclass
class _Raising:
    what: Any

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


def test_rows_that_hold_instances(sqlite_kit: Kit) -> None:
    """What ``execute(select(Model)).all()`` gives is searched, and reloaded as tuples."""
    kit = sqlite_kit
    with kit.app.app_context():
        _stored(kit)
        rows = kit.db.session.execute(select(kit.Item)).all()
        with (
            AppContextManager(kit.app).executor(1) as executor,
            pytest.raises(DetachedArgumentError),
        ):
            executor.submit(_use, rows)
        with AppContextManager(kit.app, instances="reload").executor(1) as executor:
            names, same = executor.submit(
                lambda given: ([row[0].name for row in given], given[0][0]), rows
            ).result(10)
        assert (names, same is rows[0][0]) == (["a"], False)


def test_what_contains_itself_is_reloaded_whole(sqlite_kit: Kit) -> None:
    """A list in itself leads to the reloaded one, and one list that is given twice arrives as one."""
    kit = sqlite_kit
    with (
        kit.app.app_context(),
        AppContextManager(kit.app, instances="reload").executor(1) as executor,
    ):
        item = _stored(kit)
        circle: list[Any] = [item]
        circle.append(circle)
        twice = [[item]] * 2

        def look(circle: list[Any], twice: list[Any]) -> tuple[bool, ...]:
            return circle[1] is circle, circle[0] is item, twice[0] is twice[1]

        assert executor.submit(look, circle, twice).result(10) == (True, False, True)


def test_containers_keep_their_kind(sqlite_kit: Kit) -> None:
    """A counter counts what it counted; subclasses stay what they are."""
    kit = sqlite_kit
    with (
        kit.app.app_context(),
        AppContextManager(kit.app, instances="reload").executor(1) as executor,
    ):
        item = _stored(kit)
        given = [Counter({item: 3}), _Box([item, Order]), _Tuple((item,)), _Fence(item)]
        got = executor.submit(lambda given: given, given).result(10)
    assert [type(each) for each in got] == [Counter, _Box, tuple, _Fence]
    assert list(got[0].values()) == [3]


def test_the_list_of_a_relationship(sqlite_kit: Kit) -> None:
    """SQLAlchemy's own list belongs to its instance; the job gets a plain one."""
    kit = sqlite_kit
    with (
        kit.app.app_context(),
        AppContextManager(kit.app, instances="reload").executor(1) as executor,
    ):
        parent = kit.Parent(name="p", children=[kit.Child(name="c")])
        kit.db.session.add(parent)
        kit.db.session.commit()
        kind, names = executor.submit(
            lambda given: (type(given), [each.name for each in given]), parent.children
        ).result(10)
    assert (kind, names) == (list, ["c"])


@pytest.mark.parametrize(
    "wrap", [lambda value: ChainMap({1: value}), lambda value: MappingProxyType({1: value})]
)
def test_a_container_of_which_no_other_can_be_made(
    sqlite_kit: Kit, wrap: Callable[[Any], Any]
) -> None:
    """It is refused, with the call to make; without instances it passes."""
    with (
        sqlite_kit.app.app_context(),
        AppContextManager(sqlite_kit.app, instances="reload").executor(1) as executor,
    ):
        with pytest.raises(
            DetachedArgumentError, match=r"inside of a '\w+' .* a list, a dict or a dataclass"
        ):
            executor.submit(_use, wrap(_stored(sqlite_kit)))
        assert executor.submit(lambda given: given[1], wrap(2)).result(10) == 2


def test_odd_values_pass(sqlite_kit: Kit) -> None:
    """Deep nesting, and objects that do not let themselves be read, are the job's business."""
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        odd = _Raising(1)
        assert executor.submit(lambda given: given is deep, deep).result(10)
        assert executor.submit(lambda given: given is odd, odd).result(10)


def _holding(item: Any) -> Callable[[], Any]:
    def job(given: Any = item) -> Any:
        return given

    return job


def _starting() -> Any:
    return _coroutine()


def test_an_instance_among_the_defaults(sqlite_kit: Kit) -> None:
    """The idiom of loops hands it over as well, and it cannot be reloaded."""
    with (
        sqlite_kit.app.app_context(),
        AppContextManager(sqlite_kit.app, instances="reload").executor(1) as executor,
    ):
        item = _stored(sqlite_kit)
        with pytest.raises(DetachedArgumentError, match="in the argument 'a default'"):
            executor.submit(_holding(item))


def test_a_coroutine_that_a_job_returns(sqlite_kit: Kit) -> None:
    """It is not called a success: nobody would await it."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future = executor.submit(_starting)
        with pytest.raises(TypeError, match="returned a coroutine, which nobody would await"):
            future.result(10)


def test_the_line_of_a_map(sqlite_kit: Kit) -> None:
    """The message names the reader's line, not the one in the standard library."""
    with sqlite_kit.app.app_context(), AppContextManager(sqlite_kit.app).executor(1) as executor:
        with pytest.raises(DetachedArgumentError, match=r"^'test_the_line_of_a_map' \(tests/jobs"):
            executor.map(_use, [_stored(sqlite_kit)])
