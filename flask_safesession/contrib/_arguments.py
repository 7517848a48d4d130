"""What must not be put into a message: objects of the sender's session or context, and what the job does not take."""

from __future__ import annotations

import inspect
import io
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import inspect as inspect_mapped
from sqlalchemy.orm import Query, Session, scoped_session
from werkzeug.local import LocalProxy

from flask_safesession.errors import DetachedArgumentError

__all__ = ["refuse_bound_arguments", "refuse_wrong_arguments"]

_BOUND = (Session, scoped_session, Query, Connection)
_PLAIN = frozenset({int, str, float, bool, bytes, type(None)})


class _FoundError(Exception):
    """Ends the walk through a value at the first object that cannot travel."""


class _Walk(pickle.Pickler):
    """A pickler that looks at each object that would be pickled, however deep it lies, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def persistent_id(self, value: Any) -> None:
        """Stop at an object that belongs to the sender; pickle asks this about every object."""
        if type(value) is LocalProxy:
            raise _FoundError("a proxy of Flask")
        if isinstance(value, _BOUND):
            raise _FoundError(f"a '{type(value).__name__}'")
        if inspect_mapped(type(value), raiseerr=False) is not None:
            raise _FoundError(f"an instance of '{type(value).__name__}'")


def refuse_bound_arguments(job: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse ORM instances, sessions, queries and proxies among the arguments of a message, nested ones too.

    Args:
        job: What they are for, in messages: ``"the RQ job 'shop.restock'"``.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        DetachedArgumentError: If there is one.
    """
    for name, value in (*enumerate(args, 1), *kwargs.items()):
        found = _find(value)
        if found:
            raise DetachedArgumentError(
                f"The argument '{name}' of {job} is or holds {found}, which belongs to the session and the context of "
                "the sender. Send the values that the job needs: the primary key of an instance, which the job loads."
            )


def refuse_wrong_arguments(
    job: str, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Refuse arguments that the function of a message does not take.

    Args:
        job: What they are for, as for :func:`refuse_bound_arguments`.
        fn: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        TypeError: If the call would fail; a function that does not tell its parameters is taken as it is.
    """
    try:
        signature = _signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(fn, "__qualname__", None) or repr(fn)
        raise TypeError(
            f"{job[0].upper()}{job[1:]} was given arguments that '{name}{signature}' does not take: {error}. Its "
            "worker would fail; give the arguments of the function."
        ) from None


def _signature(fn: Any) -> inspect.Signature:
    """What *fn* takes, seen through wrappers of this package: those of others may add arguments."""
    while hasattr(fn, "__wrapped__") and _package(fn) == _package(_signature):
        fn = fn.__wrapped__
    return inspect.signature(fn, follow_wrapped=False)


def _package(fn: Any) -> str:
    name: str = getattr(fn, "__globals__", {}).get("__name__", "")
    return name.partition(".")[0]


def _find(value: Any) -> str:
    if type(value) in _PLAIN:
        return ""
    try:
        _Walk().dump(value)
    except _FoundError as found:
        return str(found)
    except Exception:  # noqa: BLE001 - whether it can be sent, the serializer of the queue decides
        return ""
    return ""
