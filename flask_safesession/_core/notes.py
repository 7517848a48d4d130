"""Notes on exceptions, on Python 3.10 too, which stores but does not print them."""

from __future__ import annotations

__all__ = ["add_note"]


def add_note(error: BaseException, note: str) -> None:
    """Attach *note* to *error* (PEP 678)."""
    vars(error).setdefault("__notes__", []).append(note)
