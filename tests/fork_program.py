"""A program that forks: ``python -m tests.fork_program <case> <database> <flavour>`` prints what happened as JSON.

A fork inside a test worker would copy the worker's threads and its channel to pytest.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from sqlalchemy import create_engine, event, select, text
from sqlalchemy.orm import Session

from flask_safesession import current_scope, on_commit, on_rollback, session_manager

from .databases import Database
from .kit import Kit, make_kit

End = Callable[[], None]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _error() -> NoReturn:
    raise ValueError("the child's own")


def _exit() -> NoReturn:
    sys.exit(3)


def _at_once() -> NoReturn:
    os._exit(4)


ENDINGS: Final[Mapping[str, End]] = {
    "exit": _exit,
    "error": _error,
    "at-once": _at_once,
    "kill": _kill,
}


class Child:
    """A forked process that does some work and tells its parent about it."""

    def __init__(self, work: Callable[[], object], end: End = _exit) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            os.write(writer, json.dumps(attempt(work)).encode())
            os.close(writer)
            end()  # from here the frames of the parent unwind, up to the interpreter's exit
            return
        os.close(writer)
        with os.fdopen(reader) as pipe:
            self.said = json.loads(pipe.read() or "null")
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def attempt(work: Callable[[], object]) -> object:
    """What *work* returns, or the name of the class of what it raises."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - its name is what the test compares
        return type(error).__name__


def say(value: object) -> None:
    """Print a line for the test."""
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def refusals(session: Session) -> list[object]:
    """What the ways to use *session* give, one after the other."""
    ways: list[Callable[[], object]] = [
        session.commit,
        session.prepare,
        session.begin,
        session.begin_nested,
        session.connection,
        lambda: session.scalar(select(1)),
    ]
    endings: list[Callable[[], object]] = [
        session.rollback,
        session.close,
        session.reset,
        session.invalidate,
    ]
    return [
        *dict.fromkeys(map(str, map(attempt, ways))),
        *map(attempt, endings),
        session.in_transaction(),
    ]


def stored_by_child(kit: Kit, name: str) -> object:
    """Write *name* where the database lets a child write, and say what the child saw before."""
    with session_manager() as session:
        seen = sorted(session.scalars(select(kit.Item.name)))
        if kit.database.dialect != "sqlite":
            session.add(kit.Other(name=name))  # MariaDB locks the gaps between rows
    return seen


def in_a_scope(kit: Kit) -> object:
    """Fork inside a scope that has written, once for each way in which a child can end."""
    said = {}
    for name, end in ENDINGS.items():
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name=f"{name}-1"))
            session.flush()
            session.add(kit.Item(name=f"{name}-2"))
            child = Child(lambda: [stored_by_child(kit, f"{name}-child"), refusals(session)], end)  # noqa: B023
            session.add(kit.Item(name=f"{name}-3"))
        said[name] = [child.status, child.said]
    return said


def by_hand(kit: Kit) -> object:
    """The same in code that uses no scope."""
    said = {}
    for name, end in ENDINGS.items():
        with kit.app.app_context():
            session = kit.session()
            session.add(kit.Item(name=f"{name}-1"))
            session.flush()
            session.add(kit.Item(name=f"{name}-2"))
            real = session() if kit.flavour in ("flask-sqlalchemy", "scoped_session") else session  # type: ignore[operator]
            child = Child(lambda: [stored_by_child(kit, f"{name}-child"), refusals(real)], end)  # noqa: B023
            session.add(kit.Item(name=f"{name}-3"))
            session.commit()
            session.close()
        said[name] = [child.status, child.said]
    return said


def stock(kit: Kit) -> object:
    """What children do to a parent that SQLAlchemy and Flask-SQLAlchemy leave alone."""
    works: dict[str, Callable[[], object]] = {
        "remove": kit.db.session.remove,
        "dispose": lambda: _dispose(kit),
    }
    return {name: _write_around(kit, name, work) for name, work in works.items()}


def _dispose(kit: Kit) -> None:
    kit.db.session.remove()
    kit.engine.dispose()


def _write_around(kit: Kit, name: str, work: Callable[[], object]) -> object:
    def write() -> None:
        kit.db.session.add(kit.Item(name=f"{name}-1"))
        kit.db.session.flush()
        Child(work)
        kit.db.session.add(kit.Item(name=f"{name}-2"))
        kit.db.session.commit()

    with kit.app.app_context():
        return attempt(write)


def left_by_return(kit: Kit) -> object:
    """The child comes to the end of the parent's block, where a COMMIT would be."""
    parent = os.getpid()
    ran: list[str] = []
    reader, writer = os.pipe()

    def work() -> None:
        with session_manager() as session:
            session.add(kit.Item(name="parent"))
            session.flush()
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            if os.fork() == 0:
                session.add(kit.Item(name="child"))
                return
            os.wait()

    with kit.app.app_context():
        outcome = attempt(work)
        if os.getpid() != parent:
            os.write(writer, json.dumps([outcome, ran, current_scope() is None]).encode())
            sys.exit()
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return [outcome, ran, json.loads(pipe.read())]


def propagations(kit: Kit) -> object:
    """The child unwinds a scope, a savepoint, a suspended scope and a block without a scope, each in the other."""
    with kit.app.app_context(), session_manager(timeout=5) as outer:
        outer.add(kit.Item(name="outer"))
        outer.flush()
        with (
            session_manager(timeout=4),
            session_manager(propagation="nested", timeout=3) as session,
        ):
            session.add(kit.Item(name="savepoint"))
            session.flush()
            with session_manager(propagation="requires_new", read_only=True) as new:
                new.scalar(select(1))
                with session_manager(propagation="not_supported"):
                    child = Child(lambda: [current_scope() is None, stored_by_child(kit, "child")])
    return [child.status, child.said]


def savepoint_left_by_return(kit: Kit) -> object:
    """RELEASE and ROLLBACK TO of a parent's savepoint."""
    parent = os.getpid()
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        outcome = attempt(lambda: _in_savepoint(session))
        if os.getpid() != parent:
            say(outcome)
            sys.exit()
        os.wait()
    return outcome


def _in_savepoint(session: Session) -> str:
    with session_manager(propagation="nested"):
        session.execute(text("SELECT 1"))
        os.fork()
    return "left"


def hand_written_blocks(kit: Kit) -> object:
    """``session.begin()``, ``begin_nested()``, a connection and a raw one, all held in hand."""
    with kit.app.app_context(), kit.engine.connect() as connection, connection.begin():
        connection.execute(text("INSERT INTO item (name) VALUES ('connection')"))
        with connection.begin_nested(), Session(connection) as stranger:
            stranger.add(kit.Item(name="stranger"))
            stranger.flush()
            child = Child(lambda: _use_in_child(kit, connection))
            stranger.commit()
    return [child.status, child.said]


def _use_in_child(kit: Kit, connection: Any) -> object:
    raw = connection.connection
    return [
        attempt(lambda: connection.execute(text("SELECT 1"))),
        attempt(connection.get_transaction().commit),
        attempt(lambda: raw.cursor().executemany("SELECT 1", [])),
        attempt(lambda: raw.commit()),
        attempt(raw.cursor().close),
        stored_by_child(kit, "child"),
    ]


def session_begin(kit: Kit) -> object:
    """``with session.begin():`` and a savepoint in it, unwound by ``sys.exit()``."""
    with kit.app.app_context():
        session = kit.db.session()
        with session.begin(), session.begin_nested():
            session.add(kit.Item(name="parent"))
            session.flush()
            child = Child(lambda: attempt(session.get_transaction().commit))
    return [child.status, child.said]


def idle(kit: Kit) -> object:
    """A preloading server: connections were used, and wait in the pool."""
    with kit.app.app_context(), kit.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    children = [Child(lambda: _write_in_child(kit, f"child-{number}")) for number in range(2)]  # noqa: B023
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
    return [[child.status, child.said] for child in children]


def _write_in_child(kit: Kit, name: str) -> object:
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Other(name=name))
    return kit.checkedout()


def grandchild(kit: Kit) -> object:
    """A child that works forks again."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        child = Child(lambda: _fork_again(kit))
    return [child.status, child.said]


def _fork_again(kit: Kit) -> object:
    with session_manager() as session:
        session.add(kit.Parent(name="child"))
        session.flush()
        grand = Child(lambda: [stored_by_child(kit, "grandchild"), refusals(session)])
    return [grand.status, grand.said]


def threads(kit: Kit) -> object:
    """Other threads hold sessions and connections when the process forks, one by a thread-local only."""
    ready, done = threading.Barrier(3), threading.Event()

    def work(model: Any) -> None:
        with kit.app.app_context(), session_manager() as session:
            session.add(model(name="thread"))
            session.flush()
            ready.wait()
            done.wait()

    workers = [threading.Thread(target=work, args=(model,)) for model in (kit.Item, kit.Parent)]
    for worker in workers:
        worker.start()
    ready.wait()
    child = Child(lambda: [gc.collect() < 0, _write_in_child(kit, "child")])
    done.set()
    for worker in workers:
        worker.join()
    return [child.status, child.said]


def outside_of_contexts(kit: Kit) -> object:
    """A plain ``scoped_session`` in a script, which keeps its session for the thread."""
    kit.db.add(kit.Item(name="parent"))
    kit.db.flush()
    before = kit.db()

    def use() -> object:
        new = kit.db()
        seen = sorted(new.scalars(select(kit.Item.name)))
        kit.db.remove()
        return [new is before, seen]

    child = Child(use)
    kit.db.commit()
    kit.db.remove()
    return [child.status, child.said]


def factory_sessions(kit: Kit) -> object:
    """``SessionLocal()`` by hand, in a program without any context; its engine is used before it is."""
    with kit.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    with kit.db() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        child = Child(lambda: [refusals(session), _write_with(kit, "child")])
        session.commit()
    return [child.status, child.said]


def _write_with(kit: Kit, name: str) -> object:
    with kit.db() as session:
        session.add(kit.Other(name=name))
        session.commit()
    return kit.checkedout()


def binds(kit: Kit) -> object:
    """Two databases in one scope."""
    with kit.app.app_context(), session_manager() as session:
        session.add_all(
            [kit.Item(name=f"a-{kit.database.driver}"), kit.Other(name=f"a-{kit.database.driver}")]
        )
        session.flush()
        child = Child(lambda: _write_both(kit))
    return [child.status, child.said]


def _write_both(kit: Kit) -> None:
    with session_manager() as session:
        session.add_all(
            [kit.Item(name=f"z-{kit.database.driver}"), kit.Other(name=f"z-{kit.database.driver}")]
        )


def streamed(kit: Kit) -> object:
    """A result that comes row by row is half read at the fork; the child drops it when it ends."""
    names = [f"{number:06}" for number in range(20000)]
    with kit.app.app_context(), session_manager() as session:
        session.execute(kit.Item.__table__.insert(), [{"name": name} for name in names])
    with kit.app.app_context(), session_manager() as session:
        statement = select(kit.Item.name).order_by(kit.Item.name)
        rows = session.scalars(statement.execution_options(yield_per=10))
        first = next(rows)
        child = Child(lambda: None)
        read = [first, *rows]
    return [child.status, read == names]


def listeners(kit: Kit) -> object:
    """A program listens for new pools, and its listener fails."""
    event.listen(kit.engine, "engine_disposed", lambda _: 1 / 0)
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        child = Child(lambda: _write_in_child(kit, "child"))
    return [child.status, child.said]


def replaced_session(kit: Kit) -> object:
    """A test kit has put one session of its own in the place of ``db.session``."""
    with kit.app.app_context(), Session(kit.engine) as own:
        vars(own)["remove"] = list  # Flask-SQLAlchemy calls it at the end
        kit.db.session = own
        with session_manager() as session:
            session.add(kit.Item(name="parent"))
            session.flush()
            child = Child(lambda: stored_by_child(kit, "child"))
    return [child.status, child.said]


def memory(kit: Kit) -> object:
    """A database in memory is copied with the process."""
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="parent"))
            session.flush()
            child = Child(
                lambda: [
                    stored_by_child(kit, ""),
                    refusals(session),
                    isinstance(_write_in_child(kit, "child"), int),
                ]
            )
        with session_manager() as session:
            return [child.status, child.said, sorted(session.scalars(select(kit.Other.name)))]


def sqlite_child(kit: Kit) -> object:
    """A child of a process that writes to SQLite wants to write too."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        child = Child(
            lambda: [stored_by_child(kit, ""), attempt(lambda: _write_in_child(kit, "child"))]
        )
    later = Child(lambda: _write_in_child(kit, "later"))
    return [child.said, later.said]


def hooks_of_c(kit: Kit) -> object:
    """A server in C forks, and calls only the hooks for the child."""
    from flask_safesession._core import dialects, forks

    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="parent"))
        session.flush()
        old = kit.engine.pool
        forks._watched.in_child()
        dialects._release()
        said = [refusals(session), kit.engine.pool is old, stored_by_child(kit, "child")]
        say(said)
        sys.exit()


def held(kit: Kit) -> object:
    """Fork while a session and a connection without one are out, and let the child hold one too long."""
    with kit.app.app_context(), session_manager() as session, kit.engine.connect():
        session.execute(select(1))
        child = Child(lambda: [len(kit.safe.statistics().holders), warned_of(kit)])
        return [child.said, len(kit.safe.statistics().holders)]


def warned_of(kit: Kit) -> list[bool]:
    """Hold a connection until it is reported, and say whether the reports are about this one."""
    said: list[bool] = []
    reported = threading.Event()

    def show(message: object, *_: object, **__: object) -> None:
        said.append("scope 'child'" in str(message))
        reported.set()

    warnings.simplefilter("always")
    warnings.showwarning = show
    with kit.app.app_context(), session_manager(name="child") as session:
        session.execute(select(1))
        reported.wait(20)
    return said


def main(case: str, database: str, flavour: Any, *options: str) -> None:
    """Run *case* in a process that turns warnings into errors."""
    warnings.simplefilter("error")
    given = json.loads(database)
    observer = create_engine("sqlite://") if given["name"] != "sqlite-memory" else None
    on = Database(**given, observer=observer, second_observer=observer)
    config = {"SAFESESSION_HELD_SECONDS": 0.2} if "soon" in options else None
    kit = make_kit(
        on, flavour, safe="stock" not in options, binds="binds" in options, config=config
    )
    parent = os.getpid()
    try:
        say(globals()[case](kit))
    finally:
        if os.getpid() == parent:
            kit.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
