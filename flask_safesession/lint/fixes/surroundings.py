"""Where a function is called: inside a scope, inside another transaction, or where there is no app context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..analysis import Analysis
from ..effects import Effect, without_lenders
from ..facts import Call, ExpressionStatement, Return
from ..handing import Handing, handings
from ..origins import last_name
from ..symbols import Function
from ..values import ENDS_WITH_ITS_CONTEXT, Session
from .enders import NOT_THEIRS, Enders
from .files import NotSure

__all__ = ["Surroundings", "makers"]

_DEEPEST = 3
_OTHER_FRAMEWORKS = frozenset(
    {"fastapi", "starlette", "litestar", "sanic", "aiohttp", "quart", "django"}
)
_CONTEXT_MARKS = frozenset({"with_appcontext", "cli_command", "AppContextManager"})


def makers(analysis: Analysis) -> Iterator[tuple[Function, Call]]:
    """Return the calls that make sessions, each with its function."""
    for scope, call in analysis.calls():
        value = analysis.evaluator.called(call, scope)
        here = f"|{call.at.line}|{call.at.column}"
        if isinstance(value, Session) and value.origin == "made" and value.key.endswith(here):
            yield scope, call


@dataclass
class Surroundings:
    """What the whole project says about opening a scope in one of its functions.

    Attributes:
        analysis: What the checker knows.
        factories: The factories that the app was given, by name; empty where the project has one only.
    """

    analysis: Analysis
    factories: frozenset[str] = frozenset()

    def check(self, function: Function, factory: str) -> bool:
        """Return whether *function* is called inside of a scope, or of a block that becomes one.

        Args:
            function: The function that will open a scope.
            factory: What makes its session now.

        Raises:
            NotSure: If a scope of the app may not be what the function needs.
        """
        name = factory.rpartition(".")[2]
        if self.factories and not self.factories & {name, *self._wrapped.get(name, ())}:
            raise NotSure(None, f"'{name}' is none of the factories that '--factory' names")
        if not self.factories and len(self._made_by) > 1:
            listed = ", ".join(f"'{each}'" for each in sorted(self._made_by))
            raise NotSure(
                None, f"sessions come from {listed}: name the one that the app has with '--factory'"
            )
        self.refuse_other_framework()
        inside = False
        for each, distance in self._upwards(function):
            self._refuse_no_context(each)
            if distance:
                inside |= self._works_in_scope(each)
                self._refuse_open_transaction(each)
        return inside

    def refuse_other_framework(self) -> None:
        """Make sure that the project has app contexts at all.

        Raises:
            NotSure: If it is made with another framework.
        """
        if self._other_framework:
            reason = f"the project uses '{self._other_framework}', and a scope needs an app context of Flask"
            raise NotSure(None, reason)

    def refuse_no_context(self, function: Function) -> None:
        """Make sure that nobody is seen to call *function* where there is no app context.

        Raises:
            NotSure: If somebody does.
        """
        for each, _ in self._upwards(function):
            self._refuse_no_context(each)

    def enders(self, services: frozenset[str]) -> Enders:
        """Return the functions that end a transaction of the app which they did not begin.

        Args:
            services: Those whose commit becomes a flush at the same time.
        """
        return Enders(self.analysis, self._enders, services)

    @cached_property
    def _enders(self) -> dict[str, Function]:
        found: dict[str, Function] = {}
        for each in self.analysis.functions:
            if self.analysis.owners.entry(each) in {"route", "command"}:
                continue
            summary = self.analysis.effects.summary(each)
            for key, effect in summary.effects.items():
                if effect & Effect.ENDS and summary.sessions[key].origin in NOT_THEIRS:
                    found.setdefault(each.name, each)
        return found

    @cached_property
    def _made_by(self) -> frozenset[str]:
        return frozenset(
            last_name(call.func)
            for scope, call in makers(self.analysis)
            if not call.args and not call.keywords and not scope.facts.is_generator
        ).difference(self._wrapped)

    @cached_property
    def _wrapped(self) -> dict[str, set[str]]:
        """What the functions call that do nothing but to return a session of a factory, by their names."""
        found: dict[str, set[str]] = {}
        for scope, call in makers(self.analysis):
            body = [each for each in scope.facts.body if not isinstance(each, ExpressionStatement)]
            only = body[0] if len(body) == 1 else None
            if isinstance(only, Return) and only.value is call and len(scope.calls) == 1:
                found.setdefault(scope.name, set()).add(last_name(call.func))
        return found

    @cached_property
    def _other_framework(self) -> str:
        for module in self.analysis.project.modules:
            for target in module.facts.imports.values():
                if target.partition(".")[0] in _OTHER_FRAMEWORKS:
                    return target.partition(".")[0]
        return ""

    def _upwards(self, function: Function) -> Iterator[tuple[Function, int]]:
        """Return *function* and whatever calls it, three calls far, with the distance."""
        seen = {function.id}
        level = [function]
        for distance in range(_DEEPEST + 1):
            above: list[Function] = []
            for each in level:
                yield each, distance
                above += [caller for caller, _ in self.analysis.callers.get(each.id, ())]
                above += [each.outer] if each.outer is not None and each.name == "<lambda>" else []
            level = [each for each in above if each.id not in seen]
            seen |= {each.id for each in level}

    def _refuse_no_context(self, function: Function) -> None:
        if _brings_context(function):
            return
        place = f"{function.path}:{function.facts.at[0]}"
        if function.name == "<module>":
            raise NotSure(
                None,
                f"'{function.path}' calls it when it is imported or run, where there is no app context",
            )
        kind = self.analysis.owners.entry(function)
        if kind == "task":
            raise NotSure(
                None, f"'{function.name}' ({place}) is a task, where there may be no app context"
            )
        if (
            kind == "command"
            and function.binding_names & {"command"}
            and not self._is_flask_command(function)
        ):
            raise NotSure(
                None, f"'{function.name}' ({place}) is a command, where there may be no app context"
            )
        handing = self._handed.get(function.id)
        if handing is not None:
            where = f"{handing.scope.path}:{handing.call.at.line}"
            what = f"{'an' if handing.kind == 'executor' else 'a'} {handing.kind} ({where})"
            raise NotSure(None, f"'{function.name}' runs in {what}, where there is no app context")

    @staticmethod
    def _is_flask_command(function: Function) -> bool:
        decorators = [getattr(each, "func", each) for each in function.facts.decorators]
        return any(isinstance(each, str) and ".cli." in f".{each}" for each in decorators)

    @cached_property
    def _handed(self) -> dict[str, Handing]:
        return {
            each.target.id: each
            for each in handings(self.analysis)
            if each.target is not None
            and not (isinstance(each.callee, str) and "context" in each.callee.lower())
        }

    def _works_in_scope(self, function: Function) -> bool:
        owners = self.analysis.owners
        return owners.makes_session(function) or owners.has_owning_decorator(function)

    def _refuse_open_transaction(self, function: Function) -> None:
        summary = self.analysis.effects.summary(function)
        for key, effect in summary.effects.items():
            session = summary.sessions[key]
            if effect & Effect.WORK and session.origin in ENDS_WITH_ITS_CONTEXT:
                place = f"{function.path}:{function.facts.at[0]}"
                reason = f"'{function.name}' ({place}) works on '{session.text}' when it calls it: they would mix"
                raise NotSure(None, reason)


def _brings_context(function: Function) -> bool:
    if function.binding_names & _CONTEXT_MARKS:
        return True
    return any(
        last_name(each.func) in {"app_context", "AppContextManager", "test_request_context"}
        for each in without_lenders(function.calls)
    )
