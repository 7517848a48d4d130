"""Follows the paths of a view: what its commits and rollbacks become when its answer decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst as cst

from .answers import Answers
from .attempts import Attempt
from .files import NotSure
from .inputs import Inputs
from .paths import Paths, State
from .pruning import Role
from .trees import ENDINGS, Statement, called_on, every, mentions, only, statements, suites

__all__ = ["RequestPaths"]

_ROW_READERS = ("current_user", "render_template", "render_template_string")


@dataclass
class RequestPaths(Paths):
    """The paths through a view.

    Attributes:
        answers: The statuses with which it answers.
        inputs: What its request brings; None for a service, which has none.
        attempts: What is left of each ``try`` around database work.
    """

    answers: Answers = field(kw_only=True)
    inputs: Inputs | None = field(default=None, kw_only=True)
    attempts: dict[cst.CSTNode, Attempt] = field(default_factory=dict)
    _guarded: set[cst.CSTNode] = field(default_factory=set)

    def follow(self, body: Sequence[Statement]) -> None:
        """Follow *body* to all of its ends.

        Raises:
            NotSure: If something on a path is not understood, or its outcome would be another.
        """
        self._learn(body)
        super().follow(body)

    def _tail(self, body: Sequence[Statement]) -> int:
        return 0  # the scope ends with the view

    def _learn(self, body: Sequence[Statement]) -> None:
        for index, statement in enumerate(body):
            if called_on(statement, self.work.session) == "rollback":
                self._refuse_going_on(statement, body[index + 1 :])
            if isinstance(statement, cst.Try) and mentions(statement, self.work.session):
                attempt = self.attempts[statement] = Attempt(statement, self.work.session)
                if attempt.handlers:
                    self._guarded.update(every(statements(statement.body)))
            for suite in suites(statement):
                self._learn(statements(suite))

    def _refuse_going_on(self, rollback: Statement, rest: Sequence[Statement]) -> None:
        """Make sure that an error is answered after a rollback, so that the status or the exception rolls back."""
        for statement in rest:
            if self.answers.is_error(statement):
                self._refuse_reading(statement)
                return
            if self.answers.leaves(statement):
                reason = (
                    "it rolls back and answers with a status that is not seen to be 400 or more: "
                    "'current_scope().set_rollback_only()' is for you to place"
                )
                raise NotSure(statement, reason)
            self._refuse_reading(statement)
        reason = "it rolls back here and goes on: 'current_scope().set_rollback_only()' is for you to place"
        raise NotSure(rollback, reason)

    def _refuse_reading(self, statement: Statement) -> None:
        """Make sure that nothing needs the session between the failure and the end of the view."""
        for name in (*_ROW_READERS, *sorted(self.work.rows)):
            if mentions(statement, name):
                raise NotSure(
                    statement,
                    f"'{name}' is used after the rollback, and may read from the database",
                )
        loud = self.work.loud(statement)
        if loud is not None and not self.answers.leaves(statement):
            name = self.work.file.tree.code_for_node(loud.func).strip()
            raise NotSure(loud, f"'{name}()' comes after a rollback, and may rely on it")

    # --- what is written and not committed

    def _step(self, statement: Statement, state: bool, *, in_loop: bool) -> State:
        if self.answers.is_error(statement):
            return None
        if self.answers.leaves(statement) and not isinstance(only(statement), cst.Return):
            raise NotSure(statement, "the status of this 'abort()' is not seen")
        return super()._step(statement, state, in_loop=in_loop)

    def _ending(self, statement: Statement, ending: str, state: bool, *, in_loop: bool) -> bool:
        if ending == "rollback":
            self.roles[statement] = "drop"  # an error is answered after it
            return state
        return super()._ending(statement, ending, state, in_loop=in_loop)

    def _try(self, statement: cst.Try, state: bool, *, in_loop: bool) -> State:
        attempt = self.attempts.get(statement)
        if attempt is None:
            return super()._try(statement, state, in_loop=in_loop)
        final = statement.finalbody and cst.Finally(cst.IndentedBlock(attempt.final))
        return super()._try(statement.with_changes(finalbody=final), state, in_loop=in_loop)

    # --- what becomes of the commits

    def _role(self, commit: Statement, following: Sequence[Statement]) -> Role:
        self._refuse_answers(following)
        self._refuse_inputs(following)
        role = super()._role(commit, following)
        if commit in self._guarded:
            return "flush"  # the handlers catch what it raises
        return "flush" if role == "flush" and self._needs_values(following) else "drop"

    def _needs_values(self, following: Sequence[Statement]) -> bool:
        """Whether anything but a plain answer comes before the end of the view, which flushes."""
        work = self.work
        rest = (each for each in following if called_on(each, work.session) not in ENDINGS)
        first = next(rest, following[0])
        names = (work.root, *self.answers.function.parameters, *self.answers.function.bindings)
        return not isinstance(only(first), cst.Return) or any(
            mentions(first, each) for each in names
        )

    def _after_service(self, statement: Statement, following: Sequence[Statement]) -> None:
        self._refuse_answers([statement, *following])
        super()._after_service(statement, following)

    def _refuse_answers(self, following: Sequence[Statement]) -> None:
        """Make sure that what is committed is not rolled back by the answer."""
        for statement in following:
            if called_on(statement, self.work.session) == "commit":
                return
            for each in every([statement]):
                if self.answers.leaves(each):
                    self._refuse_answer(each)
            if self.answers.leaves(statement):
                return

    def _refuse_inputs(self, following: Sequence[Statement]) -> None:
        """Make sure that what the request brings is read before the last commit, or cannot raise."""
        inputs = self.inputs
        raising = [] if inputs is None else map(inputs.raising, following)
        found = next(filter(None, raising), None)
        if found is not None and not any(map(self._commits, following)):
            text = " ".join(self.work.file.tree.code_for_node(found).split())
            reason = (
                f"'{text}' comes after a commit and may raise, which would roll back what is stored"
            )
            raise NotSure(found, reason)

    def _commits(self, statement: Statement) -> bool:
        ending = called_on(statement, self.work.session)
        return ending == "commit" or (not ending and self.work.own(statement).commits is not None)

    def _refuse_answer(self, statement: Statement) -> None:
        if self.answers.is_error(statement):
            verb = "answers with an error" if isinstance(only(statement), cst.Return) else "raises"
            raise NotSure(statement, f"it {verb} after a commit, which would be rolled back")
        if self.answers.of_statement(statement) is None:
            reason = (
                "the status of this answer is not seen, and '@transactional' rolls back from 400 on"
            )
            raise NotSure(statement, reason)
