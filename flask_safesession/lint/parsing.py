"""From bytes to a syntax tree, whatever the bytes are."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from dataclasses import dataclass

__all__ = ["Unreadable", "decode", "is_relevant", "parse", "uses_sqlalchemy"]

# A file without any of these has neither a session nor a model, nor what ends a transaction or makes a caller wait.
_WORDS = (
    b"session",
    b"Session",
    b"commit",
    b"rollback",
    b".query",
    b".Model",
    b".Column(",
    b"current_app",
    b".save(",
    b"sqlalchemy",
    b"requests",
    b"httpx",
    b"urllib",
    b"aiohttp",
    b"subprocess",
    b"sleep",
    b"smtplib",
    b"boto3",
    b"Thread",
    b"Executor",
    b"enqueue",
    b"delay",
    b"apply_async",
    b"system(",
    b"pload",
    b"openai",
    b"add_job",
    b"add_task",
    b"exit(",
    b"abort",
    b"safesession",
    b"SAFESESSION_",
    b"import *",
)
_SQLALCHEMY_WORDS = (
    b"sqlalchemy",
    b"SQLAlchemy",
    b"sqlmodel",
    b"db.session",
    b"SessionLocal",
    b"sessionmaker",
    b"db_session",
    b"db.Model",
    b"safesession",
)


_CLOSED = re.compile(rb"\b(\w+)\.close\(\)")
_PARAMETERS = re.compile(rb"\bdef \w+\(([^)]*)\)")
_NAME = re.compile(rb"\w+")


def is_relevant(data: bytes) -> bool:
    """Whether anything in a file can matter to a rule."""
    return any(word in data for word in _WORDS) or _closes_a_parameter(data)


def _closes_a_parameter(data: bytes) -> bool:
    """Whether a function may close a session that it gets: ``def bye(s): s.close()``."""
    if b".close()" not in data:
        return False
    closed = set(_CLOSED.findall(data)) - {b"self", b"cls"}
    return any(closed.intersection(_NAME.findall(given)) for given in _PARAMETERS.findall(data))


def uses_sqlalchemy(data: bytes) -> bool:
    """Whether a file speaks of SQLAlchemy or of sessions by their usual names."""
    return any(word in data for word in _SQLALCHEMY_WORDS)


# Deeper nesting than this ends in a RecursionError or, in some releases, in a crash of the parser.
_DEEPEST = 180
_OPENING = re.compile(rb"[(\[{]{%d}" % _DEEPEST)


@dataclass(frozen=True, slots=True)
class Unreadable(Exception):  # noqa: N818 - it is a result, which no user sees raised
    """Why a file could not be parsed."""

    reason: str
    line: int = 1


def decode(data: bytes) -> str:
    """Return the text of a file, by its byte order mark or its coding line.

    Raises:
        Unreadable: If the coding is unknown or the bytes are none of it.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, LookupError, UnicodeError, ValueError) as error:
        raise Unreadable(_first_line(error)) from None


def parse(data: bytes) -> ast.Module:
    """Return the tree of a file.

    Raises:
        Unreadable: If it is no Python that this interpreter, or LibCST where it is installed, can read.
    """
    text = decode(data)
    if "\0" in text:
        raise Unreadable("it holds null bytes")
    if _OPENING.search(data):
        raise Unreadable(f"more than {_DEEPEST} brackets are nested")
    if text.lstrip().startswith("{") and '"cells"' in text:
        raise Unreadable("it is a notebook: convert it to Python first")  # which parses as a dict
    try:
        return _tree(text)
    except SyntaxError as error:
        return _newer(text, Unreadable(_first_line(error), error.lineno or 1))
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise Unreadable(_first_line(error)) from None


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checked code's own, about its escapes
        return ast.parse(text)


def _newer(text: str, reason: Unreadable) -> ast.Module:
    from .newer import older_spelling

    older = older_spelling(text)
    if older is None:
        raise reason
    try:
        return _tree(older)
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        raise reason from None


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return (text or type(error).__name__).splitlines()[0]
