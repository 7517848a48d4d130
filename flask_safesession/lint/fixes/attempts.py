"""What is left of a ``try`` when the scope rolls back and closes the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from .files import NotSure
from .pruning import cleaned, raises_again
from .trees import (
    Statement,
    comment_lines,
    header_comment,
    lines_of,
    map_suites,
    mentions,
    real,
    said,
    statements,
    suite_of,
)

__all__ = ["Attempt", "without_tries"]


class Attempt:
    """What is left of a ``try`` when the scope rolls back and closes.

    Attributes:
        handlers: Those that do more than to roll back and raise again.
        final: What its ``finally`` does besides closing.
        orelse: What its ``else`` does.
        said: The comments of what goes away behind the work.
    """

    def __init__(self, node: cst.Try | None, name: str) -> None:
        self.node = node
        self.handlers: list[cst.ExceptHandler] = []
        self.final: list[Statement] = []
        self.orelse: list[Statement] = []
        self.said: list[cst.EmptyLine] = []
        self._else: cst.Else | None = None
        self._final: cst.Finally | None = None
        if node is None:
            return
        kept = list(node.handlers)
        while kept and raises_again(kept[-1], name):
            kept.pop()
        self.handlers = [self._handler(each, name) for each in kept]
        self.said = comment_lines(*node.handlers[len(kept) :])
        if node.orelse is not None:
            self._go_on(node.orelse, node.body)
        if node.finalbody is not None:
            self._end(node.finalbody, name)

    def _go_on(self, orelse: cst.Else, body: cst.BaseSuite) -> None:
        """Keep the ``else``; without a handler its statements follow those of the ``try``."""
        self.orelse = statements(orelse.body)
        if self.handlers:
            lines = [*self.said, *orelse.leading_lines]
            self._else = orelse.with_changes(leading_lines=lines)
            self.said = []
            return
        first = self.orelse[0]
        above = [*_footer(body), *self.said, *_opening(orelse), *lines_of(first)]
        self.orelse[0] = first.with_changes(leading_lines=above)
        self.said = _footer(orelse.body)

    def _end(self, final: cst.Finally, name: str) -> None:
        body = cleaned(statements(final.body), name)
        self.final = real(body)
        if not self.final:
            self.said += comment_lines(final)
            return
        lines = [*self.said, *final.leading_lines]
        self._final = final.with_changes(leading_lines=lines, body=suite_of(final.body, body))
        self.said = []

    @property
    def stays(self) -> bool:
        """Whether there is still a ``try``."""
        return bool(self.handlers or self.final)

    @property
    def continued(self) -> list[Statement]:
        """What follows the work directly, as no handler stands between."""
        return [] if self.handlers else self.orelse

    def refuse_else(self, name: str) -> None:
        """Make sure that ``else`` can stay outside of the block, with the handlers.

        Raises:
            NotSure: If it uses the session *name*.
        """
        if self.handlers and mentions(self.orelse, name):
            reason = f"'else' uses '{name}' outside of what the handlers catch"
            raise NotSure(self.orelse[0], reason)

    @staticmethod
    def _handler(handler: cst.ExceptHandler, name: str) -> cst.ExceptHandler:
        body = cleaned(statements(handler.body), name)
        if not real(body):
            body.append(cst.SimpleStatementLine([cst.Pass()]))
        return handler.with_changes(body=suite_of(handler.body, body))

    @property
    def above(self) -> list[cst.EmptyLine]:
        """The comment behind the colon of a ``try`` that goes away."""
        if self.node is None or self.stays:
            return []
        comment = header_comment(self.node.body)
        return [] if comment is None else [cst.EmptyLine(comment=comment)]

    @property
    def below(self) -> list[cst.EmptyLine]:
        """The comments at the end of the work of a ``try`` that goes away."""
        if self.node is None or self.stays or self.continued:
            return []
        return _footer(self.node.body)

    def around(self, body: list[Statement]) -> list[Statement]:
        """Return *body* in what is left of the ``try``, which has no lines above it."""
        if self.node is None or not self.stays:
            return body
        changes = {"handlers": self.handlers, "orelse": self._else, "finalbody": self._final}
        new = self.node.with_changes(
            body=suite_of(self.node.body, body), leading_lines=(), **changes
        )
        return [new]


def _footer(suite: cst.BaseSuite) -> list[cst.EmptyLine]:
    lines = suite.footer if isinstance(suite, cst.IndentedBlock) else ()
    return [each for each in lines if each.comment]


def _opening(orelse: cst.Else) -> list[cst.EmptyLine]:
    """Return the comments above ``else`` and behind its colon."""
    comment = header_comment(orelse.body)
    above = [each for each in orelse.leading_lines if each.comment]
    return above if comment is None else [*above, cst.EmptyLine(comment=comment)]


def without_tries(
    body: Sequence[Statement], attempts: Mapping[cst.CSTNode, Attempt]
) -> list[Statement]:
    """Return *body* with what is left of each ``try`` in it, according to *attempts*."""
    new: list[Statement] = []
    for statement in body:
        attempt = attempts.get(statement)
        if attempt is None or not isinstance(statement, cst.Try):
            new.append(map_suites(statement, lambda each: without_tries(each, attempts)))
            continue
        inside = without_tries([*statements(statement.body), *attempt.continued], attempts)
        new += said([*statement.leading_lines, *attempt.above])
        new += [*attempt.around(inside), *said([*attempt.below, *attempt.said])]
    return new
