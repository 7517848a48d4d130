"""The app of the ASGI servers that the tests start: ``python -m uvicorn tests.asynchronous.asgi_app:one_by_one``."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from asgiref.wsgi import WsgiToAsgi
from sqlalchemy import text

from flask_safesession import session_manager, transactional

from ..workers import worker_kit

MEETING = 4

kit = worker_kit()
one_by_one = WsgiToAsgi(kit.app)  # type: ignore[no-untyped-call]
waiting: list[asyncio.Event] = []


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    """The same with a thread for each request."""
    async with ThreadSensitiveContext():
        await one_by_one(scope, receive, send)


@kit.app.post("/<name>")
@transactional
async def store(name: str) -> tuple[dict[str, int], int]:
    """Store a row, and say by which process and which connection; a row called "no" is rolled back."""
    async with session_manager() as session:
        session.add(kit.Item(name=name))
        connection = await session.scalar(text("SELECT pg_backend_pid()"))
    if name.startswith("meet"):
        await _meet()
    return {"process": os.getpid(), "connection": connection or 0}, 409 if name == "no" else 200


async def _meet() -> None:
    """Wait for others, on the one loop of the server."""
    waiting.append(arrived := asyncio.Event())
    if len(waiting) == MEETING:
        for each in waiting:
            each.set()
        waiting.clear()
    await arrived.wait()
