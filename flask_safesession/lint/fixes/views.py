"""Views that commit and roll back by hand: become ``@transactional``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from ..effects import Effect, text_of
from ..facts import Call
from ..origins import last_name
from ..surroundings import ROUTE_METHODS, VIEW_METHODS
from ..symbols import Function
from ..values import Session
from .answers import Answers
from .attempts import without_tries
from .changes import Change
from .doing import Work
from .enders import enders_below
from .files import Files, NotSure
from .inputs import Inputs
from .pruning import without_endings
from .requests import RequestPaths
from .subject import Subject
from .trees import ENDINGS, Statement, called_on, every, settled, statements, suite_of

__all__ = ["Views"]

_METHOD_CLASSES = frozenset({"MethodView", "Resource"})


class Views(Subject):
    """Rewrites one view."""

    def change(self, node: cst.FunctionDef) -> Change | None:
        """Return the change of the view, None where it commits nothing.

        Raises:
            NotSure: If it is left alone.
        """
        session = committed(self.files, self.function, self.services)
        if session is None:
            return None
        self._refuse(node)
        enders = self.surroundings.enders(self.services)
        work = Work(self.file, self.files.analysis, session.text, session.key, enders)
        work.learn(node)
        answers = Answers(node, self.function, self.files.analysis)
        inputs = Inputs(self.file, self.files.analysis, node, work.rows)
        paths = RequestPaths(work, answers=answers, inputs=inputs)
        body = statements(node.body)
        paths.follow(body)
        new = without_endings(without_tries(body, paths.attempts), paths.roles)
        _refuse_endings(new, session.text)
        new_node = node.with_changes(
            body=suite_of(node.body, new), decorators=self._decorators(node)
        )
        return Change(
            self.file.name,
            self.file.line(node.name),
            self.function,
            {node: settled(new_node)},
            {self.file.name: ("transactional",)},
        )

    def _refuse(self, node: cst.FunctionDef) -> None:
        if node.asynchronous is not None:
            raise NotSure(node.name, "the function is async")
        if not self._is_answered_by_flask():
            reason = "it is no view that Flask calls by itself: '@transactional' would not see its status"
            raise NotSure(node.name, reason)
        self.surroundings.refuse_other_framework()
        for caller, call in self.files.analysis.callers.get(self.function.id, ()):
            place = f"{caller.path}:{call.at.line}"
            raise NotSure(
                node.name, f"'{caller.name}' calls it as well ({place}), without an answer"
            )

    def _is_answered_by_flask(self) -> bool:
        """Whether it is registered by a decorator of an app or blueprint, or is a method of a ``MethodView``."""
        if any(map(is_route, self.function.facts.decorators)):
            return self.function.cls is None
        cls = self.function.cls
        if cls is None or self.function.name not in VIEW_METHODS:
            return False
        ancestry = self.files.analysis.project.ancestry(cls)
        bases = {last_name(base) for each in ancestry for base in each.facts.bases}
        return bool(bases & _METHOD_CLASSES)

    def _decorators(self, node: cst.FunctionDef) -> list[cst.Decorator]:
        """Put the decorator below the routes, so that it sees the answer as Flask does."""
        facts = self.function.facts.decorators
        routes = [index for index, each in enumerate(facts) if is_route(each)]
        at = routes[-1] + 1 if routes else 0
        return [
            *node.decorators[:at],
            cst.Decorator(cst.Name("transactional")),
            *node.decorators[at:],
        ]


def _refuse_endings(body: Sequence[Statement], session: str) -> None:
    """Make sure that the view no longer ends the transaction that it owns now."""
    for statement in every(body):
        ending = called_on(statement, session)
        if ending in ENDINGS:
            raise NotSure(
                statement, f"'{session}.{ending}()' would be left, on no path that is followed"
            )


def is_route(decorator: object) -> bool:
    """Whether *decorator* is ``@app.route(…)`` or one of its short forms."""
    if not isinstance(decorator, Call):
        return False
    owner, _, name = text_of(decorator.func).rpartition(".")
    return bool(owner) and name in _ROUTES


_ROUTES = frozenset({"route", *VIEW_METHODS}) & ROUTE_METHODS


def committed(
    files: Files, function: Function, services: frozenset[str] = frozenset()
) -> Session | None:
    """Return the session of the app that a view commits, None where it is no such view.

    Args:
        files: The project.
        function: What may be a view.
        services: Functions through which it may commit as well.
    """
    owners, effects = files.analysis.owners, files.analysis.effects
    if owners.entry(function) != "route" or owners.has_owning_decorator(function):
        return None
    for call in function.calls:
        for session, effect in effects.on(call, function):
            if not effect & Effect.COMMIT or session.origin != "managed":
                continue
            action = effects.action(call, function)
            if text_of(call.func) == f"{session.text}.commit":
                return session
            if services & {each.id for each in enders_below(action.callees, files.analysis)}:
                return replace(session, text=spelled(files, function))
    return None


def spelled(files: Files, function: Function) -> str:
    """Return how *function* spells the session of the app."""
    for call in function.calls:
        session = files.analysis.effects.action(call, function).session
        owner = text_of(call.func).rpartition(".")[0]
        if session is not None and session.origin == "managed" and owner.endswith("session"):
            return owner
    return "db.session"
