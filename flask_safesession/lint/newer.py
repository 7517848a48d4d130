"""Files newer than this interpreter's grammar, through LibCST where that is installed."""

from __future__ import annotations

__all__ = ["older_spelling"]


def older_spelling(text: str) -> str | None:
    """Return *text* in a spelling that an older grammar reads, None where that cannot be had.

    Args:
        text: A file that ``ast`` could not parse.
    """
    try:
        from .older import rewritten
    except ImportError:
        return None
    return rewritten(text)
