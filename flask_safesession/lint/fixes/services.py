"""Services that commit: the commit becomes a flush, together with callers that own a scope then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import libcst as cst

from ..effects import Effect, text_of
from ..facts import Call, With
from ..symbols import Function
from ..values import Session
from ..walk import calls_in, statements_in
from .answers import Answers
from .attempts import without_tries
from .blocks import Blocks
from .changes import Change, Left
from .doing import Work
from .files import File, Files, NotSure
from .mentions import Mentions
from .pruning import Role, without_endings
from .requests import RequestPaths
from .sources import Unfit
from .surroundings import Surroundings
from .trees import Statement, only, real, settled, statements, suite_of
from .views import Views, spelled

__all__ = ["Services"]


class _Returns(Answers):
    """A service answers nobody: only an exception tells its caller that it failed."""

    def of(self, value: cst.BaseExpression | None) -> int | None:
        return 200


@dataclass
class _ServicePaths(RequestPaths):
    """The paths through a service: what it leaves open is its caller's to commit."""

    is_service = True

    def _learn(self, body: Sequence[Statement]) -> None:
        super()._learn(body)
        handlers = (handler for attempt in self.attempts.values() for handler in attempt.handlers)
        ends = [real(statements(handler.body))[-1] for handler in handlers]
        for last in (each for each in ends if not isinstance(only(each), cst.Raise)):
            reason = "it goes on after a failure, which the owner of the transaction has to see"
            raise NotSure(last, reason)

    def _left_open(self, statement: Statement, reason: str) -> None:
        """Leave it to the owner."""

    def _ending(self, statement: Statement, ending: str, state: bool, *, in_loop: bool) -> bool:
        if ending == "close":
            raise NotSure(statement, "it closes a session that it did not open")
        return super()._ending(statement, ending, state, in_loop=in_loop)

    def _role(self, commit: Statement, following: Sequence[Statement]) -> Role:
        super()._role(commit, following)
        return "flush"


@dataclass
class _Plan:
    """What has to change together with one service.

    Attributes:
        service: The service.
        edit: Its definition, and what becomes of it.
        owners: The changes of the owners of its transactions, by function.
        services: The services that call it.
    """

    service: Function
    edit: tuple[cst.FunctionDef, cst.FunctionDef]
    owners: dict[str, Change] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)


@dataclass
class Services:
    """Rewrites the services of a project.

    Args:
        files: The project.
        surroundings: What the project says about where functions are called.
    """

    files: Files
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.analysis = self.files.analysis
        self.mentions = Mentions(self.analysis)
        self._owners: dict[tuple[str, frozenset[str]], Change | NotSure | None] = {}

    def changes(self) -> tuple[list[Change], list[Left]]:
        """Return the changes, and the services that are left alone."""
        services = {each.id: each for each in self.analysis.functions if self._is_service(each)}
        left: list[Left] = []
        while True:
            plans: dict[str, _Plan] = {}
            for each in services.values():
                try:
                    plans[each.id] = self._plan(each, frozenset(services))
                except (NotSure, Unfit) as error:
                    left.append(self._left(each, error))
            if len(plans) == len(services):
                return [_joined(each) for each in _together(plans)], left
            services = {key: services[key] for key in plans}

    def _left(self, service: Function, error: NotSure | Unfit) -> Left:
        node = error.node if isinstance(error, NotSure) else None
        line = 0 if node is None else self.files.file(service.path).line(node)
        reason = f"'{service.name}': {error}"
        at = line or service.facts.at[0]
        return Left(service.path, at, reason, service.facts.qualname, "TXN102")

    def _is_service(self, function: Function) -> bool:
        owners = self.analysis.owners
        return (
            function.id in self.analysis.callers
            and function.name not in {"<module>", "<lambda>", "__init__"}
            and not owners.owns(function)
            and not owners.is_scope(function)
            and self._committed(function) is not None
        )

    def _committed(self, function: Function) -> Session | None:
        """Return the session that *function* commits, if it is its parameter or that of the app."""
        for call in function.calls:
            action = self.analysis.effects.action(call, function)
            session = action.session
            if action.effect is Effect.COMMIT and session is not None and _is_plain(session):
                return session if text_of(call.func) == f"{session.text}.commit" else None
        return None

    # --- one service

    def _plan(self, service: Function, services: frozenset[str]) -> _Plan:
        session = cast("Session", self._committed(service))
        file = self.files.file(service.path)
        node = file.node(service)
        paths = self._followed(file, node, session, services)
        body = without_endings(without_tries(statements(node.body), paths.attempts), paths.roles)
        new = settled(node.with_changes(body=suite_of(node.body, body)))
        plan = _Plan(service, (node, new))
        self._callers(service, services, plan, {service.id})
        return plan

    def _followed(
        self, file: File, node: cst.FunctionDef, session: Session, services: frozenset[str]
    ) -> _ServicePaths:
        function = file.functions[node]
        if node.asynchronous is not None:
            raise NotSure(node.name, "the function is async")
        if session.parameter in function.bindings:
            raise NotSure(node.name, f"'{session.parameter}' may be a session of its own")
        enders = self.surroundings.enders(services)
        work = Work(file, self.analysis, session.text, session.key, enders)
        work.learn(node)
        paths = _ServicePaths(work, answers=_Returns(node, function, self.analysis))
        paths.follow(statements(node.body))
        return paths

    # --- its callers

    def _callers(
        self, function: Function, services: frozenset[str], plan: _Plan, seen: set[str]
    ) -> None:
        self.mentions.refuse_unseen(function)
        callers = self.analysis.callers.get(function.id, ())
        if not callers:
            raise NotSure(None, f"nobody is seen to call '{function.name}', which calls it")
        for caller, call in callers:
            if caller.id not in seen and not self._is_in_scope(caller, call):
                self._caller(caller, call, services, plan, seen | {caller.id})

    def _caller(
        self, caller: Function, call: Call, services: frozenset[str], plan: _Plan, seen: set[str]
    ) -> None:
        if caller.id in services:
            plan.services.add(caller.id)
            return
        place = f"'{caller.name}' ({caller.path}:{call.at.line}) calls it"
        if caller.name in {"<module>", "<lambda>"}:
            raise NotSure(None, f"{place}, and owns no scope")
        file = self.files.file(caller.path)
        try:
            change = self._owner(file, caller, services)
            if change is None:
                self._carrier(file, caller, call, services)
        except NotSure as error:
            raise NotSure(None, f"{place}, and cannot own a scope: {error.reason}") from error
        if change is not None:
            plan.owners[caller.id] = change
            return
        self._callers(caller, services, plan, seen)

    def _owner(self, file: File, caller: Function, services: frozenset[str]) -> Change | None:
        """Return the change by which *caller* becomes the owner of a scope, thought through once."""
        key = (caller.id, services)
        if key not in self._owners:
            try:
                self._owners[key] = self._as_owner(file, caller, services)
            except NotSure as error:
                self._owners[key] = error
        found = self._owners[key]
        if isinstance(found, NotSure):
            raise found
        return found

    def _as_owner(self, file: File, caller: Function, services: frozenset[str]) -> Change | None:
        node = file.node(caller)
        if self.analysis.owners.makes_session(caller):
            return self._sure(
                Blocks(self.files, file, caller, self.surroundings, services).change(node)
            )
        kind = self.analysis.owners.entry(caller)
        if kind and kind != "route":
            raise NotSure(None, f"it is a {kind}")
        if not kind:
            return None
        return self._sure(Views(self.files, file, caller, self.surroundings, services).change(node))

    @staticmethod
    def _sure(change: Change | None) -> Change:
        if change is None:
            raise NotSure(None, "its session is none that becomes a scope")
        return change

    def _carrier(self, file: File, caller: Function, call: Call, services: frozenset[str]) -> None:
        """Make sure that a function between the owner and the service does not rely on the commit."""
        found = [
            session
            for session, effect in self.analysis.effects.on(call, caller)
            if effect & Effect.COMMIT and _is_plain(session)
        ]
        if not found:
            raise NotSure(None, "the session that it gives is not seen")
        session = found[0]
        if session.origin == "managed":
            session = replace(session, text=spelled(self.files, caller))
        self._followed(file, file.node(caller), session, services)

    def _is_in_scope(self, caller: Function, call: Call) -> bool:
        """Whether *caller* already owns a scope around *call*."""
        if self.analysis.owners.has_owning_decorator(caller):
            return True
        for statement in statements_in(caller.facts.body):
            if isinstance(statement, With) and any(
                each is call for each in calls_in(statement.body)
            ):
                for expression, _ in statement.items:
                    session = self.analysis.evaluator.entered(expression, caller)
                    if isinstance(session, Session) and session.origin == "scope":
                        return True
        return False


def _is_plain(session: Session) -> bool:
    """Whether it is the session of the app, or a parameter of the function itself."""
    return not session.is_async and (
        session.origin == "managed"
        or (session.origin == "given" and session.key.startswith("param|"))
    )


def _together(plans: dict[str, _Plan]) -> list[list[_Plan]]:
    """Return the plans in groups that have to be made together."""
    groups: list[tuple[set[str], list[_Plan]]] = []
    for plan in plans.values():
        keys = {plan.service.id, *plan.owners, *plan.services}
        mine = [plan]
        for other in [each for each in groups if each[0] & keys]:
            groups.remove(other)
            keys |= other[0]
            mine = [*other[1], *mine]
        groups.append((keys, mine))
    return [mine for _, mine in groups]


def _joined(plans: list[_Plan]) -> Change:
    """Return one change for all of a group."""
    edits: dict[cst.CSTNode, cst.CSTNode] = {}
    imports: dict[str, tuple[str, ...]] = {}
    for plan in plans:
        edits[plan.edit[0]] = plan.edit[1]
        imports.setdefault(plan.service.path, ())
        for owner in plan.owners.values():
            edits |= owner.edits
            for path, names in owner.imports.items():
                imports[path] = tuple({*imports.get(path, ()), *names})
    first = plans[0].service
    return Change(first.path, first.facts.at[0], first, edits, imports)
