"""What a failed call was doing: making a connection, committing, or something else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

from sqlalchemy import exc

from ..sending import is_commit_error, is_not_stored
from .drivers import DRIVERS

__all__ = ["builtin_category", "driver_error", "phase"]

Phase = Literal["connect", "execute", "commit"]

# The names under which SQLAlchemy's dialects, our wrapper of them and the drivers do it.
_CONNECT = {"connect", "_connect"}
_COMMIT = {"do_commit", "do_commit_twophase"}
_DRIVER_COMMIT = {"commit", "_commit_gen", "__commit"}
_EXECUTE = {"do_execute", "do_executemany", "do_execute_no_params"}
_LIBRARIES = {"sqlalchemy", "flask_safesession"}


def driver_error(error: BaseException) -> BaseException:
    """What the driver raised, where SQLAlchemy has wrapped it."""
    if issubclass(type(error), exc.StatementError):
        orig: BaseException | None = getattr(error, "orig", None)
        return error if orig is None else orig
    return error


def phase(error: BaseException) -> Phase:
    """Tell by our marks, else by the functions that *error* came through, which need no connection to be wired."""
    own = driver_error(error)
    if is_not_stored(own):
        return "execute"
    if is_commit_error(own):
        return "commit"
    frames = [*_frames(error), *_frames(own)]
    if any(_commits(package, function) for package, function in frames):
        return "commit"
    if any(package and function in _CONNECT for package, function in frames):
        return "connect"
    return "connect" if _looks_like_connect(error, own) else "execute"


def _commits(package: str | None, function: str) -> bool:
    return function in (_DRIVER_COMMIT if package in DRIVERS else _COMMIT) and package is not None


def _looks_like_connect(error: BaseException, own: BaseException) -> bool:
    """For an error without its traceback: SQLAlchemy has no statement then, and psycopg 3 shows the attempt."""
    if issubclass(type(error), exc.DBAPIError):
        stated: Any = error
        return stated.statement is None and not stated.connection_invalidated
    return getattr(own, "pgconn", None) is not None


def _frames(error: BaseException) -> Iterator[tuple[str | None, str]]:
    """The package, if it is one of those that speak to databases, and the function of each frame, outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        known = package in DRIVERS or package in _LIBRARIES
        yield package if known else None, frame.f_code.co_name
        traceback = traceback.tb_next


def builtin_category(error: BaseException) -> str:
    """What an exception of Python's own means that a driver let through, as asyncpg does with ``OSError``."""
    frames = list(_frames(error))
    if not any(_in_driver(package, function) for package, function in frames):
        return "unknown"
    if issubclass(type(error), (TimeoutError, asyncio.TimeoutError)):
        return "connection_lost" if phase(error) == "connect" else "statement_timeout"
    if issubclass(type(error), (OSError, EOFError)):
        return "connection_lost"
    if issubclass(type(error), (ValueError, OverflowError)) and _in_driver(*frames[-1]):
        return "data"
    return "unknown"


def _in_driver(package: str | None, function: str) -> bool:
    """Whether the driver itself has raised it: one that is written in C has no frame, but its caller has."""
    return package in DRIVERS or (package in _LIBRARIES and function in _EXECUTE)
