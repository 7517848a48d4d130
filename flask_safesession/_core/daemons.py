"""Threads that look after something, and without which everything works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["start_daemon"]


def start_daemon(name: str, target: Callable[..., object], *args: Any) -> threading.Thread | None:
    """Start a thread and return it; None at the end of the interpreter, which starts none (Python 3.12)."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
