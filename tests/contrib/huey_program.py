"""Tasks of Huey, declared by a test, which enqueues them, and by its consumer."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from flask import has_app_context, has_request_context
from huey.api import Huey, RedisHuey, SqliteHuey
from sqlalchemy import select, text

from ..kit import Kit


@dataclass
class Tasks:
    """The tasks."""

    store: Any
    forget: Any
    surroundings: Any
    look: Any
    late: Any
    fail_once: Any
    join: Any
    wait: Any
    linger: Any
    nightly: Any


def make_huey(url: str, name: str) -> Huey:
    """A queue in Redis, or in the SQLite file that *url* names."""
    if url.startswith("redis"):
        return RedisHuey(name, url=url)
    return SqliteHuey(name, filename=url)


def declare_tasks(huey: Huey, kit: Kit) -> Tasks:  # noqa: C901 - one function for each task
    """Declare the tasks on *huey*, working on the database of *kit*."""
    looked: Counter[bool] = Counter()
    tried: list[str] = []

    def add(name: str) -> None:
        kit.session().add(kit.Item(name=name))
        kit.session().flush()

    def store(name: str) -> str:
        add(name)
        return name

    def forget(name: str) -> str:
        add(name)
        return name

    def surroundings(task: Any = None) -> tuple[str, int, bool, bool]:
        assert task is not None
        return task.name, kit.checkedout(), has_app_context(), has_request_context()

    def look(name: str, total: int) -> bool:
        found = kit.session().scalar(select(kit.Item.id).where(kit.Item.name == name))
        looked[found is not None] += 1
        if looked.total() == total:
            print(f"{looked[True]} seen, {looked[False]} missed")
        return found is not None

    def late() -> None:
        kit.session().add(kit.LateChild(name="lost", parent_id=999))

    def fail_once(name: str, *error: object) -> str:
        add(name)
        tried.append(name)
        if tried.count(name) == 1:
            raise ValueError("the first try")
        return name

    def join(names: Any) -> str:
        add("+".join(sorted(names)))
        return "joined"

    def wait() -> None:
        add("half")
        kit.session().execute(text("SELECT pg_sleep(20)"))

    def linger() -> None:
        add("half")
        print("lingering")
        threading.Event().wait()

    def nightly() -> None:
        add("nightly")

    return Tasks(
        store=huey.task(transactional=True)(store),
        forget=huey.task()(forget),
        surroundings=huey.task(context=True)(surroundings),
        look=huey.task()(look),
        late=huey.task(transactional=True)(late),
        fail_once=huey.task(transactional=True, retries=1)(fail_once),
        join=huey.task(transactional=True)(join),
        wait=huey.task(transactional=True, timeout=1)(wait),
        linger=huey.task(transactional=True)(linger),
        nightly=huey.periodic_task(lambda _: True, transactional=True)(nightly),
    )


def declare_hooks(huey: Huey, kit: Kit) -> None:
    """Hooks and receivers of a consumer, which say what they see."""

    def startup() -> None:
        print("started, context:", has_app_context())

    def report(task: Any, *_: Any) -> None:
        new = list(kit.session().new)
        print("after", task.name, has_app_context(), new, kit.names())

    def told(signal: str, task: Any, *_: Any) -> None:
        print("told", signal, task.name, has_app_context())

    huey.on_startup()(startup)
    huey.post_execute()(report)
    huey.signal()(told)
