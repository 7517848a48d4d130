"""What is special about a view: its response decides, and its body may stream after the transaction has ended."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import CodeType
from typing import Any

from flask import current_app, has_request_context, request
from flask.views import MethodView, View
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from . import errors
from ._core.binding import allow_statements, refuse_without_scope
from ._core.places import Place, outside
from ._functions import is_coroutine_function
from ._unit import refusing

__all__ = [
    "RequestBody",
    "awaited_methods",
    "current_view_is",
    "decorated_at",
    "finished_response",
    "has_mark",
    "layers_of_view",
    "mark_decorated",
    "mark_exempt",
    "mark_standing_for",
    "mark_transactional",
    "raised_status",
    "returned_status",
    "seal_body",
]

_EXEMPT = "_safesession_exempt"
_TRANSACTIONAL = "_safesession_transactional"
_DECORATED = "_safesession_decorated"
_STANDS_FOR = "_safesession_stands_for"


def current_view_is(wrapper: Callable[..., Any]) -> bool:
    """Whether *wrapper* is the view of the current request, or a layer of it below other decorators."""
    if not has_request_context() or request.endpoint is None:
        return False
    view = current_app.view_functions.get(request.endpoint)
    sought = getattr(wrapper, _STANDS_FOR, wrapper)
    return view is not None and any(
        layer is sought for layer in layers_of_view(view, request.method)
    )


def layers_of_view(view: Callable[..., Any], method: str) -> Iterator[Callable[..., Any]]:
    """*view* and all that it wraps (:pep:`362`, ``__wrapped__``); of a class, the methods that answer *method* too."""
    layer: Callable[..., Any] | None = view
    while layer is not None:
        yield layer
        layer = getattr(layer, "__wrapped__", None)
    for handler in _handlers(getattr(view, "view_class", None), method):
        yield from layers_of_view(handler, method)


def awaited_methods(view: Callable[..., Any], method: str) -> list[Callable[..., Any]]:
    """The coroutine functions of a class that answer *method*: its view is a plain function, which waits for them."""
    view_class = getattr(view, "view_class", None)
    found = [getattr(view_class, name, None) for name in _handler_names(view_class, method)]
    return [each for each in found if each is not None and is_coroutine_function(each)]


def _handlers(view_class: Any, method: str) -> Iterator[Callable[..., Any]]:
    """The methods of a class-based view through which a request goes, and those that they may reach by ``super()``."""
    for name in _handler_names(view_class, method):
        yield from (vars(each)[name] for each in view_class.__mro__ if name in vars(each))


def _handler_names(view_class: type[View] | None, method: str) -> tuple[str, ...]:
    """Their names; only ``MethodView`` has one for each verb."""
    if view_class is None:
        return ()
    if not issubclass(view_class, MethodView):
        return ("dispatch_request",)
    is_get = method == "HEAD" and not hasattr(view_class, "head")
    return ("dispatch_request", "get" if is_get else method.lower())


def finished_response(value: Any, wrapper: Callable[..., Any]) -> Any:
    """Let Flask make its response of *value* while the transaction can still be rolled back, if it cannot be made.

    Only where *wrapper* is the outermost layer of the view: a decorator around may make something else of it. A body
    that streams and a WSGI application run later, and are left alone.
    """
    if isinstance(value, (Response, str, bytes, Iterator)) or callable(value):
        return value
    if isinstance(value, tuple) and value and isinstance(value[0], Iterator):
        return value
    view = current_app.view_functions.get(request.endpoint or "")
    return current_app.make_response(value) if view is wrapper else value


def returned_status(value: Any) -> int:
    """The status of what a view returned, as Flask's ``make_response`` will read it."""
    if isinstance(value, tuple):
        return _tuple_status(value)
    if isinstance(value, Response):
        return value.status_code
    if isinstance(value, HTTPException):
        return raised_status(value)
    return 200


def _tuple_status(value: tuple[Any, ...]) -> int:
    status = value[1] if len(value) > 1 and not isinstance(value[1], (dict, list, tuple)) else None
    if isinstance(status, (int, str)):
        return Response(status=status).status_code
    return returned_status(value[0]) if value else 200


def raised_status(error: HTTPException) -> int:
    """The status of what ``abort()`` or ``redirect`` raised."""
    if error.code is not None:
        return error.code
    return 500 if error.response is None else getattr(error.response, "status_code", 500)


def seal_body(value: Any, view: str, session: Session) -> Any:
    """Let the body of a response stream, and refuse the session in it: the transaction of *view* is over by then."""
    if isinstance(value, tuple) and value:
        return (seal_body(value[0], view, session), *value[1:])
    if isinstance(value, Response):
        if value.is_streamed and not value.direct_passthrough:
            value.response = _SealedBody(value.response, view, session)
        return value
    return _SealedBody(value, view, session) if isinstance(value, Iterator) else value


class _SealedBody:
    """An iterator around a streaming body."""

    def __init__(self, body: Iterable[Any], view: str, session: Session) -> None:
        self._body = body
        self._iterator = iter(body)
        self._view = view
        self._session = session

    def __iter__(self) -> _SealedBody:
        return self

    def __next__(self) -> Any:
        token = refusing.set(self._refusal)
        bind = refuse_without_scope(self._session, self._refusal)
        try:
            return next(self._iterator)
        finally:
            allow_statements(self._session, bind)
            refusing.reset(token)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()

    def _refusal(self) -> Exception:
        return errors.NoTransactionError(
            f"The streaming body of '{self._view}' used the session after the transaction of that view had ended. "
            "Return 'stream_with_session(body())' of a generator function that takes 'db.session' itself, read what "
            "the body needs before you return the response, or open 'with session_manager():' inside the body."
        )


class RequestBody:
    """What the current request, if there is one, has brought: a failed try may have read it."""

    def __init__(self) -> None:
        self._was_reached_for = _is_reached_for()
        self._positions = {each: each.stream.tell() for each in _uploads()}

    @property
    def is_spent(self) -> bool:
        """Whether ``request.stream`` was reached for since; ``get_data()``, ``json`` and ``form`` keep it all."""
        return _is_reached_for() and not self._was_reached_for

    def rewind(self) -> None:
        """Let the next try find the uploaded files as the first one has found them."""
        for each in _uploads():
            with suppress(ValueError):  # it was closed, and says so when it is read
                each.stream.seek(self._positions.get(each, 0))


def _is_reached_for() -> bool:
    known = vars(request) if has_request_context() else {}
    return "stream" in known and not known.keys() & {"form", "_cached_data"}


def _uploads() -> list[FileStorage]:
    """The files of the request, if its form was parsed."""
    if not has_request_context() or "files" not in vars(request):
        return []
    return [each for _, each in request.files.items(multi=True)]


def mark_exempt(view: Callable[..., Any]) -> None:
    """Note on *view* that ``SAFESESSION_TRANSACTIONAL_VIEWS`` leaves it alone."""
    vars(view)[_EXEMPT] = True


def mark_transactional(wrapper: Callable[..., Any]) -> None:
    """Note on *wrapper* that it opens its own scope."""
    vars(wrapper)[_TRANSACTIONAL] = True


def mark_standing_for(wrapper: Callable[..., Any], fn: Callable[..., Any]) -> None:
    """Note on *wrapper* that it is called in the place of *fn*, which the view has as a layer."""
    vars(wrapper)[_STANDS_FOR] = fn


def mark_decorated(fn: Callable[..., Any]) -> None:
    """Note on *fn* the line above its ``def`` where the caller was put on it; a call elsewhere leaves no note."""
    code: CodeType | None = getattr(inspect.unwrap(fn), "__code__", None)
    place = outside().place
    if code is not None and code.co_filename == place.path and place.line in _lines(code):
        vars(fn)[_DECORATED] = place


def _lines(code: CodeType) -> range:
    """The lines of a function, its decorators' included."""
    return range(code.co_firstlineno, max(line or 0 for _, _, line in code.co_lines()) + 1)


def decorated_at(view: Callable[..., Any]) -> Place | None:
    """Where ``@transactional`` was put on *view*, which Flask calls without it."""
    place: Place | None = getattr(view, "__dict__", {}).get(_DECORATED)
    return place


def has_mark(view: Callable[..., Any], method: str) -> bool:
    """Whether *view* decides about its transaction by itself."""
    return any(
        _EXEMPT in getattr(layer, "__dict__", {})
        or _TRANSACTIONAL in getattr(layer, "__dict__", {})
        for layer in layers_of_view(view, method)
    )
