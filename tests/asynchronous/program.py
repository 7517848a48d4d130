"""A program that ends, or forks, with connections of event loops: ``python -m … <how> <url> <async url>``."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from flask_safesession import SafeSession
from flask_safesession._async.sources import async_factory
from flask_safesession._state import STATE

HOW, URL, ASYNC_URL = sys.argv[1:]

app = Flask(__name__)
app.config.update(
    SQLALCHEMY_DATABASE_URI=URL,
    SAFESESSION_ASYNC_ENGINES={None: ASYNC_URL},
    SAFESESSION_ASYNC_PORTAL=HOW.startswith("portal"),
)
db = SQLAlchemy(app)
SafeSession(app)


async def ask() -> Any:
    """A statement in a session."""
    async with async_factory(app.extensions[STATE])() as session:
        return await session.scalar(text("SELECT 1"))


def open_loop() -> None:
    """Nobody closes the loop."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    print(loop.run_until_complete(ask()))


def running_loop() -> None:
    """It runs in a thread until the end."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    start = contextvars.copy_context().run
    print(start(asyncio.run_coroutine_threadsafe, ask(), loop).result(20))


def portal() -> None:
    """The portal runs until the end."""
    print(app.ensure_sync(ask)())


def portal_fork() -> None:
    """A child has a portal of its own, and its end is not that of the parent's."""
    portal()
    if os.fork() == 0:
        print("child", app.ensure_sync(ask)(), flush=True)
        sys.exit()
    os.wait()
    print("parent", app.ensure_sync(ask)())


def loop_fork() -> None:
    """A child of a coroutine leaves its parent's connection alone."""

    async def main() -> None:
        print(await ask(), flush=True)
        if os.fork() == 0:
            os._exit(0)
        os.wait()  # noqa: ASYNC222 - nothing else runs
        print("parent", await ask())

    asyncio.run(main())


def fork_later() -> None:
    """A child has loops, and connections, of its own."""
    print(asyncio.run(ask()), flush=True)
    if os.fork() == 0:
        print("child", asyncio.run(ask()), flush=True)
        sys.exit()
    os.wait()
    print("parent", asyncio.run(ask()))


if __name__ == "__main__":
    with app.app_context():
        globals()[HOW]()
