"""What a call does to a session, and what a function does to all the sessions that it can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntFlag

from .evaluate import Evaluator
from .facts import Attr, Call, Expression
from .findings import Step
from .naming import bears
from .origins import argument_for, as_session, last_name, managed
from .project import Project
from .symbols import Function
from .values import (
    ClassValue,
    Database,
    FunctionValue,
    Instance,
    Query,
    Rows,
    Session,
    Value,
)
from .vocabulary import CLOSES, DATABASE_READS, QUERY_ENDS, QUERY_WRITES, READS, SENT_WRITES, WRITES
from .writing import is_write

__all__ = ["Action", "Effect", "Effects", "Summary", "text_of", "without_lenders"]

_LENDING = frozenset({"thread", "executor", "process_executor", "create_task"})


class Effect(IntFlag):
    """What can be done to a session."""

    NONE = 0
    READ = 1
    WRITE = 2
    FLUSH = 4
    COMMIT = 8
    ROLLBACK = 16
    CLOSE = 32
    BEGIN = 64
    NESTED = 128

    WORK = READ | WRITE | FLUSH | COMMIT
    ENDS = COMMIT | ROLLBACK | CLOSE


_BY_METHOD = {
    **dict.fromkeys(READS, Effect.READ),
    **dict.fromkeys(WRITES, Effect.WRITE),
    **dict.fromkeys(SENT_WRITES, Effect.READ | Effect.WRITE),
    **dict.fromkeys(CLOSES, Effect.CLOSE),
    "flush": Effect.FLUSH,
    "commit": Effect.COMMIT,
    "rollback": Effect.ROLLBACK,
    "begin": Effect.BEGIN,
    "begin_nested": Effect.NESTED,
}
_BY_QUERY = {
    **dict.fromkeys(QUERY_ENDS, Effect.READ),
    **dict.fromkeys(QUERY_WRITES, Effect.READ | Effect.WRITE),
}
_SAVEPOINTS = frozenset({"nested", "subtransactions"})
ROUNDS = 3


@dataclass(slots=True)
class Action:
    """What one call does.

    Attributes:
        effect: What it does to *session* itself.
        session: The session that it is called on.
        callees: The functions of the project that it calls.
        receiver: What a method among them is bound to.
    """

    effect: Effect = Effect.NONE
    session: Session | None = None
    callees: tuple[Function, ...] = ()
    receiver: Value = None


@dataclass(slots=True)
class Summary:
    """What a function does, its callees included.

    Attributes:
        effects: By the key of the session.
        exposed: The same, without what an ``except`` of its own undoes.
        sessions: The sessions behind the keys.
        tail: What it does to each session after the last commit or rollback of it.
        slow: Where it waits for something else than the database.
        slow_depth: How many calls away that is.
        enqueues: Where it hands work to a queue.
        owned: Whether a decorator ends its transaction.
    """

    effects: dict[str, Effect] = field(default_factory=dict)
    exposed: dict[str, Effect] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    tail: dict[str, Effect] = field(default_factory=dict)
    slow: Step | None = None
    slow_depth: int = 0
    enqueues: Step | None = None
    owned: bool = False

    def add(self, session: Session, effect: Effect, *, exposed: bool) -> bool:
        """Take in one effect; return whether that is news."""
        before = self.effects.get(session.key, Effect.NONE)
        self.effects[session.key] = before | effect
        self.sessions.setdefault(session.key, session)
        if exposed:
            self.exposed[session.key] = self.exposed.get(session.key, Effect.NONE) | effect
        return before | effect != before


class Effects:
    """Knows what each call does; *summaries* are filled by :mod:`.summaries`."""

    def __init__(self, project: Project, evaluator: Evaluator) -> None:
        self.project = project
        self.evaluator = evaluator
        self.summaries: dict[str, Summary] = {}
        self._actions: dict[int, Action] = {}

    def summary(self, function: Function) -> Summary:
        """Return what *function* does."""
        found = self.summaries.get(function.id)
        if found is None:
            found = self.summaries[function.id] = Summary()
        return found

    def action(self, call: Call, scope: Function) -> Action:
        """Return what *call* does inside *scope*."""
        found = self._actions.get(id(call))
        if found is None:
            found = self._actions[id(call)] = self._action(call, scope)
        return found

    def _action(self, call: Call, scope: Function) -> Action:
        name = last_name(call.func)
        if name in _BY_METHOD or name in _BY_QUERY:
            owner = self.owner(call.func, scope)
            session = as_session(owner)
            if session is not None and name in _BY_METHOD:
                return Action(self._refined(name, call, scope), session)
            if isinstance(owner, Database) and name in DATABASE_READS:
                return Action(Effect.READ, managed())
            if isinstance(owner, Query | Rows) and name in _BY_QUERY and owner.session is not None:
                return Action(_BY_QUERY[name], owner.session)
        wrappers = self.project.options.wrappers
        if wrappers and self.is_named(call, scope, wrappers):
            return Action(Effect.COMMIT, Session("managed", "managed", text_of(call.func)))
        return self._calls(call, scope)

    def _calls(self, call: Call, scope: Function) -> Action:
        value = self.evaluator.value(call.func, scope)
        if isinstance(value, FunctionValue):
            return Action(callees=(value.function,), receiver=self._receiver(value, call, scope))
        if isinstance(value, ClassValue):
            init = self.project.method(value.cls, "__init__")
            if init is not None:
                return Action(callees=(init,), receiver=Instance(value.cls, call, scope))
        return Action()

    def _receiver(self, value: FunctionValue, call: Call, scope: Function) -> Value:
        if isinstance(value.receiver, Instance) and value.receiver.call is None:
            owner = self.owner(call.func, scope)
            return owner if isinstance(owner, Instance) else value.receiver
        return value.receiver

    @staticmethod
    def _refined(name: str, call: Call, scope: Function) -> Effect:
        effect = _BY_METHOD[name]
        if name == "begin" and any(key in _SAVEPOINTS for key, _ in call.keywords):
            return Effect.NESTED
        if (
            name in {"execute", "exec", "scalars", "scalar"}
            and call.args
            and is_write(call.args[0], scope)
        ):
            return Effect.READ | Effect.WRITE
        return effect

    def is_named(self, called: Expression, scope: Function, names: tuple[str, ...]) -> bool:
        """Whether a call or a decorator bears one of the names that a project set, here or where it is defined."""
        if not names:
            return False
        func = called.func if isinstance(called, Call) else called
        return bears(text_of(func), self.evaluator.value(func, scope), names)

    def owner(self, func: Expression, scope: Function) -> Value:
        """Return what a method is called on."""
        if isinstance(func, Attr):
            return self.evaluator.value(func.value, scope)
        if isinstance(func, str) and "." in func:
            return self.evaluator.named(func.rpartition(".")[0], scope)
        return None

    # --- what a call does, its callees included

    def after(self, call: Call, scope: Function) -> Iterator[tuple[Session, Effect]]:
        """Return what *call* leaves undone in the transactions that it ended and began again."""
        action = self.action(call, scope)
        for callee in action.callees:
            summary = self.summaries.get(callee.id)
            for key, effect in tuple((summary.tail if summary is not None else {}).items()):
                session = (
                    self.translated(summary.sessions[key], call, callee, action, scope)
                    if summary
                    else None
                )
                if session is not None and effect:
                    yield session, effect

    def on(
        self, call: Call, scope: Function, *, exposed: bool = False
    ) -> Iterator[tuple[Session, Effect]]:
        """Return what *call* does to each session that *scope* can see.

        Args:
            call: The call.
            scope: The function that it stands in.
            exposed: Leave out what the called function undoes itself when it fails.
        """
        action = self.action(call, scope)
        if action.session is not None:
            yield action.session, action.effect
            return
        for callee in action.callees:
            summary = self.summaries.get(callee.id)
            if summary is None or callee.facts.is_generator:
                continue
            # A copy: a function that calls itself adds to its own summary meanwhile.
            for key, effect in tuple((summary.exposed if exposed else summary.effects).items()):
                session = self.translated(summary.sessions[key], call, callee, action, scope)
                if session is not None:
                    yield session, effect

    def translated(
        self, session: Session, call: Call, callee: Function, action: Action, scope: Function
    ) -> Session | None:
        """Return a session that *callee* works on as *scope* knows it, None where it cannot."""
        kind, _, rest = session.key.partition("|")
        if kind == "object":
            return None
        if kind == "made":
            return session if _made_around(session, callee, scope) else None
        if kind == "param":
            if not rest.startswith(f"{callee.id}|"):
                return session if _is_of(rest, scope) else None
            argument = argument_for(call, callee, session.parameter, bound=is_bound(callee, action))
            return self.evaluator.session(argument, scope)
        if kind == "self" and isinstance(action.receiver, Instance):
            name = rest.rpartition("|")[2]
            if action.receiver.call is None:
                return session
            owner = action.receiver
            return as_session(self.evaluator.attributes.attribute(owner, name, scope))
        return session


def _made_around(session: Session, callee: Function, scope: Function) -> bool:
    """Whether the session was made in *scope*, around *callee*, which is defined in it."""
    if session.path != scope.path or callee.outer is None:
        return False
    inside = callee.facts.at.line <= session.line <= callee.facts.at.end_line
    return not inside and scope.facts.at.line <= session.line <= scope.facts.at.end_line


def _is_of(rest: str, scope: Function) -> bool:
    """Whether the key is that of a parameter of *scope* or of a function around it."""
    at: Function | None = scope
    while at is not None:
        if rest.startswith(f"{at.id}|"):
            return True
        at = at.outer
    return False


def is_bound(callee: Function, action: Action) -> bool:
    """Whether the first parameter of *callee* is filled by what it is called on."""
    if not callee.is_method or "staticmethod" in callee.binding_names:
        return False
    return isinstance(action.receiver, Instance) or "classmethod" in callee.binding_names


def text_of(expression: Expression) -> str:
    """Return a short text for an expression, as the reader wrote it."""
    if isinstance(expression, str):
        return expression
    if isinstance(expression, Attr):
        return f"{text_of(expression.value)}.{expression.name}"
    if isinstance(expression, Call):
        return f"{text_of(expression.func)}()"
    return "…"


def without_lenders(calls: tuple[Call, ...]) -> list[Call]:
    """Leave out the ``AppContextManager()`` of ``.thread()`` and its like: only their jobs get the app."""
    methods = [each.func for each in calls if isinstance(each.func, Attr)]
    lenders = [each.value for each in methods if each.name in _LENDING]
    return [each for each in calls if each not in lenders]
