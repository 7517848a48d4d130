"""What a client is told about a database error: the status and what to do, and never SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, Response, got_request_exception, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException, ServiceUnavailable, default_exceptions

from ._config import HttpErrors
from ._core.faults import Fault, classify
from .errors import SafeSessionError

__all__ = ["http_answer", "wire_http_errors"]

Handler = Callable[[Any], Any]

_RETRY_AFTER = 1
"""Seconds, for the client of a database that is not there for the moment."""

_DESCRIPTIONS = {
    "unique": "An entry with the same values exists already.",
    "exclusion": "An entry that conflicts with this one exists already.",
    "not_null": "A required value is missing.",
    "check": "A value is outside of what is allowed.",
    "data": "A value is too long, out of range or not valid.",
}


def http_answer(fault: Fault, description: str | None = None) -> HTTPException:
    """The answer to a request that met *fault*; *description* takes the place of the text that fits."""
    text = description or _describe(fault)
    if fault.http_status == 503:
        return ServiceUnavailable(text, retry_after=_RETRY_AFTER)
    return default_exceptions[fault.http_status](text)


def _describe(fault: Fault) -> str:
    if fault.category == "foreign_key":
        missing = fault.http_status == 422
        return (
            "An entry referred to does not exist."
            if missing
            else "An entry is still referred to by others."
        )
    return _DESCRIPTIONS.get(fault.category, "The database is not available for the moment.")


def wire_http_errors(app: Flask, mode: HttpErrors) -> None:
    """Answer requests that a database error ended, unless the app has a handler; see ``SAFESESSION_HTTP_ERRORS``."""
    if mode == "off":
        return

    def answer(error: Exception) -> Any:
        theirs = _find_handler(app, error, None, answer)
        if theirs is not None:
            return app.ensure_sync(theirs)(error)
        fault = classify(error)
        if not (fault.http_status == 503 or (mode == "all" and fault.http_status < 500)):
            raise error
        if fault.http_status == 503:
            _report(app, error, fault)
        return _through_app(app, http_answer(fault), answer)

    for kind in (SQLAlchemyError, SafeSessionError):
        if kind not in app.error_handler_spec[None][None]:
            app.register_error_handler(kind, answer)


def _report(app: Flask, error: Exception, fault: Fault) -> None:
    """Tell what Flask tells of an error that nobody handles: whoever watches the app has to hear of an outage."""
    got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    app.logger.error(
        "Answered 503 to %s %s: %s", request.method, request.path, fault.category, exc_info=error
    )


def _through_app(app: Flask, answer: HTTPException, ours: Handler) -> Any:
    """The app's own page for the status, else a JSON body for a client that prefers it, else werkzeug's."""
    theirs = _find_handler(app, answer, answer.code, ours)
    if theirs is not None:
        return app.ensure_sync(theirs)(answer)
    return _problem(answer) if _prefers_json(request.accept_mimetypes) else answer


def _prefers_json(accepted: MIMEAccept) -> bool:
    best = accepted.best_match(["text/html", "application/json", "application/problem+json"])
    asked = best is not None and best != "text/html"
    return asked or (request.is_json and accepted.quality("application/json") > 0)


def _problem(answer: HTTPException) -> Response:
    """The answer as problem details; see RFC 9457."""
    body = {"title": answer.name, "status": answer.code, "detail": answer.description}
    headers = [each for each in answer.get_headers() if each[0] != "Content-Type"]
    kind = "application/problem+json"
    return Response(json.dumps(body), status=answer.code, headers=headers, content_type=kind)


def _find_handler(app: Flask, error: Exception, code: int | None, ours: Handler) -> Handler | None:
    """The handler that the app has for *error*, also for a base class; see Flask, "Handling Application Errors"."""
    for handlers in _handlers(app, code):
        found = (handlers[kind] for kind in type(error).__mro__ if kind in handlers)
        theirs = next((each for each in found if each is not ours), None)
        if theirs is not None:
            return theirs
    return None


def _handlers(app: Flask, code: int | None) -> Iterator[dict[type[Exception], Handler]]:
    """The app's tables of handlers, in the order in which Flask looks at them."""
    for key in dict.fromkeys((code, None)):
        for name in (*request.blueprints, None):
            yield app.error_handler_spec[name][key]
