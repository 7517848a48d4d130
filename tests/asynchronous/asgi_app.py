"""The app of the ASGI servers that the tests start: ``python -m uvicorn tests.asynchronous.asgi_app:asgi``."""

from __future__ import annotations

import os

from asgiref.wsgi import WsgiToAsgi
from sqlalchemy import text

from flask_safesession import session_manager, transactional

from ..workers import worker_kit

kit = worker_kit()
asgi = WsgiToAsgi(kit.app)  # type: ignore[no-untyped-call]


@kit.app.post("/<name>")
@transactional
async def store(name: str) -> tuple[dict[str, int], int]:
    """Store a row, and say by which process and which connection; a row called "no" is rolled back."""
    async with session_manager() as session:
        session.add(kit.Item(name=name))
        connection = await session.scalar(text("SELECT pg_backend_pid()"))
    return {"process": os.getpid(), "connection": connection or 0}, 409 if name == "no" else 200
