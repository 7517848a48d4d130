"""What is left of a ``try`` when the scope rolls back and closes the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import libcst as cst

from .files import NotSure
from .pruning import Role, block, cleaned, raises_again
from .trees import Statement, comment_lines, lines_of, map_suites, mentions, statements, suite_of

__all__ = ["Attempt", "without_tries"]


class Attempt:
    """What is left of a ``try`` when the scope rolls back and closes."""

    def __init__(self, node: cst.Try | None, name: str) -> None:
        self.node = node
        self.handlers: list[cst.ExceptHandler] = []
        self.final: list[Statement] = []
        self.orelse: list[Statement] = []
        self.said: list[cst.EmptyLine] = []  # in what goes away
        if node is None:
            return
        kept = list(node.handlers)
        while kept and raises_again(kept[-1], name):
            kept.pop()
        self.handlers = [self._handler(each, name) for each in kept]
        self.said += comment_lines(*node.handlers[len(kept) :])
        if node.finalbody is not None:
            self.final = cleaned(statements(node.finalbody.body), name)
            self.said += [] if self.final else comment_lines(node.finalbody)
        if node.orelse is not None:
            self.orelse = statements(node.orelse.body)

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
        return handler.with_changes(body=block(body, handler.body))

    def around(self, body: list[Statement]) -> list[Statement]:
        """Return *body* in what is left of the ``try``."""
        if self.node is None or not (self.handlers or self.final):
            return body
        final = self.node.finalbody
        if final is not None:
            final = final.with_changes(body=block(self.final, final.body)) if self.final else None
        orelse = self.node.orelse if self.handlers else None
        changes = {
            "handlers": self.handlers,
            "finalbody": final,
            "orelse": orelse,
            "leading_lines": (),
        }
        return [self.node.with_changes(body=block(body), **changes)]


def without_tries(
    body: Sequence[Statement],
    attempts: Mapping[cst.CSTNode, Attempt],
    roles: dict[cst.CSTNode, Role],
) -> list[Statement]:
    """Return *body* with what is left of each ``try`` in it, according to *attempts*.

    A statement that is written anew, as it gets the comments of its ``try``, keeps its place in *roles*.
    """
    new: list[Statement] = []
    for statement in body:
        attempt = attempts.get(statement)
        inner = map_suites(statement, lambda each: without_tries(each, attempts, roles))
        if attempt is None or not isinstance(statement, cst.Try):
            new.append(inner)
            continue
        inside = without_tries(statements(statement.body), attempts, roles)
        first, *rest = _around(statement, attempt, inside)
        above = [*statement.leading_lines, *attempt.said, *lines_of(first)]
        new += [first.with_changes(leading_lines=above), *rest]
        if first in roles:
            roles[new[-1 - len(rest)]] = roles[first]
    return new


def _around(statement: cst.Try, attempt: Attempt, body: list[Statement]) -> list[Statement]:
    """Return *body* in what is left of the ``try`` around it."""
    whole = attempt.around(body)
    if attempt.handlers or attempt.final:
        whole = [whole[0].with_changes(body=suite_of(statement.body, body))]
    return whole
