"""TXN401: a session, ORM instance or request proxy that goes to another thread, task or queue."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Await, Expression, Group
from ..findings import Finding, Level, Step
from ..handing import Handing
from ..origins import last_name
from ..surroundings import REQUEST_PROXIES
from ..symbols import Function
from ..values import External, FunctionValue, Instance, Rows, Session
from .base import Rule

__all__ = ["RULE"]

_CALLS = {
    "session": "Open a session where the work runs ('AppContextManager' does), and hand over plain values.",
    "instance": "Hand over the primary key and load the row where the work runs.",
    "proxy": "Hand over the values themselves, or the object behind 'current_app' with '_get_current_object()'.",
}


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return what crosses."""
    for handing in analysis.handings:
        found = _crossing(handing, analysis)
        if found is not None:
            yield _finding(handing, *found)


def _crossing(handing: Handing, analysis: Analysis) -> tuple[str, str] | None:
    for argument in handing.arguments:
        for part in _parts(argument):
            kind = _kind(part, handing.scope, analysis)
            if kind == "session" and _given_away(part, handing):
                continue
            if kind and not (handing.kind == "queue" and _repacks(kind, analysis)):
                return kind, text_of(part)
    return _bound(handing, analysis) or _closed_over(handing, analysis)


def _repacks(kind: str, analysis: Analysis) -> bool:
    """Whether the project's own task class sees each instance on its way into the queue."""
    return kind == "instance" and "apply_async" in analysis.project.methods_named


def _parts(argument: Expression) -> Iterator[Expression]:
    """Return what is handed over: members of tuples, lists and dicts too, but not what is computed from them."""
    if isinstance(argument, Group):
        if argument.kind in {"tuple", "dict", "star", "either", "chosen"}:
            for each in argument.items:
                yield from _parts(each)
        return
    yield argument.value if isinstance(argument, Await) else argument


def _kind(part: Expression, scope: Function, analysis: Analysis) -> str:
    value = analysis.evaluator.value(part, scope)
    if analysis.evaluator.session(part, scope) is not None:
        return "session"
    if isinstance(value, Instance) and analysis.evaluator.is_model(value.cls):
        return "instance"
    if isinstance(value, Rows) and value.model is not None:
        return "instance"
    if isinstance(value, External) and value.path in REQUEST_PROXIES:
        return "proxy"
    return ""


def _given_away(session: Expression, handing: Handing) -> bool:
    """Whether 'handoff()' of this package has given the session to whoever uses it next."""
    return any(
        last_name(call.func) == "handoff" and session in call.args for call in handing.scope.calls
    )


def _bound(handing: Handing, analysis: Analysis) -> tuple[str, str] | None:
    """Return the ORM instance whose method is handed over."""
    value = analysis.evaluator.value(handing.callee, handing.scope)
    if handing.kind == "queue" or not isinstance(value, FunctionValue):
        return None
    receiver = value.receiver
    if isinstance(receiver, Instance) and analysis.evaluator.is_model(receiver.cls):
        return "instance", text_of(handing.callee)
    return None


def _closed_over(handing: Handing, analysis: Analysis) -> tuple[str, str] | None:
    """Return the session of the outer function that an inner one, which is handed over, uses."""
    target = handing.target
    if target is None or target.outer is None or target.outer is target.module.body:
        return None
    for key, session in analysis.effects.summary(target).sessions.items():
        effect = analysis.effects.summary(target).effects[key]
        if effect & Effect.WORK and _belongs_outside(session, target):
            return "session", session.text
    return None


def _belongs_outside(session: Session, target: Function) -> bool:
    if session.key.startswith("param|"):
        return not session.key.startswith(f"param|{target.id}|")
    if session.key.startswith("made|") and session.path == target.path:
        return not target.facts.at.line <= session.line <= target.facts.at.end_line
    return False


def _finding(handing: Handing, kind: str, text: str) -> Finding:
    name = handing.text
    what = {
        "session": f"the session '{text}'",
        "instance": f"the ORM instance '{text}', which belongs to this context's session,",
        "proxy": f"the proxy '{text}', which means something else or nothing there,",
    }[kind]
    message = f"'{name}()' hands {what} to {handing.receiver}."
    level: Level = "error" if kind == "session" or handing.kind != "background task" else "warning"
    steps = [Step(handing.scope.path, handing.call.at.line, f"'{name}()' hands it over")]
    if handing.target is not None:
        steps.append(
            Step(
                handing.target.path,
                handing.target.facts.at.line,
                f"'{handing.target.name}' uses it elsewhere",
            )
        )
    return finding(RULE.id, level, handing.scope, handing.call.at, message, _CALLS[kind], steps)


RULE = Rule(
    "TXN401",
    "session-crosses-thread-or-job",
    ("error", "warning"),
    "a session, ORM instance or request proxy handed to a thread, executor, task, background task or queue",
    find,
)
