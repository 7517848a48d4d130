"""``db = SessionLocal()`` with its ``try``, ``except``, ``finally``: becomes ``with session_manager() as db:``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import cast

import libcst as cst

from ..values import Session
from .attempts import Attempt
from .changes import Change
from .doing import Work
from .enders import Enders
from .files import NotSure
from .instances import Instances
from .paths import Paths
from .pruning import without_endings
from .searches import first_maker, refuse_leftovers
from .subject import Subject
from .trees import (
    Statement,
    assigned_name,
    called_on,
    comment_lines,
    dotted,
    every,
    lines_of,
    map_suites,
    mentions,
    said,
    settled,
    statements,
    suite_of,
)

__all__ = ["Blocks"]


@dataclass
class _Shape:
    """A session's block in a list of statements.

    Attributes:
        made: The statement that makes the session.
        before: What stands between it and the work.
        work: The work.
        end: Where the list goes on.
        attempt: The ``try`` around the work, None where there is none.
        closing: The ``close()`` behind it.
        is_inside: Whether that ``try`` makes the session.
    """

    made: Statement
    before: list[Statement]
    work: list[Statement]
    end: int
    attempt: cst.Try | None = None
    closing: list[Statement] = field(default_factory=list)
    is_inside: bool = False


@dataclass
class Blocks(Subject):
    """Rewrites the blocks of one function."""

    names: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    covered: set[cst.CSTNode] = field(default_factory=set)

    def change(self, node: cst.FunctionDef) -> Change | None:
        """Return the change of the function, None where it makes no session.

        Raises:
            NotSure: If it is left alone.
        """
        self.node = node
        self.is_inner = False
        first = first_maker(node.body, self.made)
        if first is None:
            return None
        self._refuse_async(node, first)
        self._refuse_accepted(first)
        self.is_inner = self.surroundings.check(self.function, self._text(first))
        body = self._list(statements(node.body))
        refuse_leftovers(node, self.names | self.kept, self.covered)
        new = settled(node.with_changes(body=suite_of(node.body, body)))
        line = self.file.line(first)
        imports = {self.file.name: ("session_manager",)}
        change = Change(self.file.name, line, self.function, {node: new}, imports)
        return change if self.names else None

    def _text(self, made: cst.CSTNode) -> str:
        found = assigned_name(made)
        return (
            self.file.tree.code_for_node(found[1].func)
            if found and isinstance(found[1], cst.Call)
            else ""
        )

    @staticmethod
    def _refuse_async(node: cst.FunctionDef, first: cst.CSTNode) -> None:
        if node.asynchronous is not None:
            raise NotSure(first, "the function is async")

    @staticmethod
    def _refuse_accepted(first: cst.CSTNode) -> None:
        if any(
            "safesession: ignore" in each.comment.value
            for each in comment_lines(first)
            if each.comment
        ):
            raise NotSure(first, "a comment accepts it as it is")

    # --- finding

    def made(self, statement: cst.CSTNode) -> tuple[str, Session] | None:
        """Return the name and session of a statement that makes one."""
        found = assigned_name(statement)
        known = self.file.call(found[1]) if found and isinstance(found[1], cst.Call) else None
        if found is None or known is None or known[0] is not self.function:
            return None
        value = self.files.analysis.evaluator.called(known[1], known[0])
        if (
            not isinstance(value, Session)
            or value.origin != "made"
            or value.line != known[1].at.line
        ):
            return None
        return found[0], value

    def _list(self, body: list[Statement]) -> list[Statement]:
        new: list[Statement] = []
        index = 0
        while index < len(body):
            shape = self._shape(body, index)
            if shape is None:
                new.append(self._inside(body[index]))
                index += 1
                continue
            name, session = self._checked(shape.made)
            new = self._without_none(new, name)
            self.covered.update(body[index : shape.end])
            new += self._rewritten(shape, name, session)
            index = shape.end
        return new

    def _inside(self, statement: Statement) -> Statement:
        if isinstance(statement, cst.FunctionDef | cst.ClassDef):
            return statement
        return map_suites(statement, self._list)

    def _checked(self, made: Statement) -> tuple[str, Session]:
        found = cast("tuple[str, Session]", self.made(made))
        value = assigned_name(made)
        call = value[1] if value else None
        if not isinstance(call, cst.Call) or call.args:
            raise NotSure(made, "the session is made with arguments")
        if dotted(call.func).partition(".")[0] in {
            *self.function.parameters,
            *self.function.bindings,
        }:
            raise NotSure(made, "the factory is a local name: it need not be that of the app")
        if found[1].is_async:
            raise NotSure(made, "the session is async")
        return found

    def _shape(self, body: list[Statement], index: int) -> _Shape | None:
        statement = body[index]
        if isinstance(statement, cst.Try):
            inner = statements(statement.body)
            if inner and self.made(inner[0]) and not self._is_whole(inner[0], inner):
                end = self._end(body, index + 1, inner[0])
                rest = body[index + 1 : end]
                return _Shape(inner[0], [], inner[1:], end, statement, rest, is_inside=True)
            return None
        found = self.made(statement)
        if found is None:
            return None
        return self._after(body, index, found[0])

    @staticmethod
    def _is_whole(made: Statement, inner: list[Statement]) -> bool:
        """Whether the block of a session that a ``try`` begins with lies inside that ``try``."""
        found = assigned_name(made)
        return found is not None and any(
            isinstance(each, cst.Try) and mentions(each, found[0]) for each in inner
        )

    def _after(self, body: list[Statement], index: int, name: str) -> _Shape:
        made = body[index]
        using = [at for at in range(index + 1, len(body)) if mentions(body[at], name)]
        first = body[using[0]] if using else None
        if first is not None and isinstance(first, cst.Try):
            before = body[index + 1 : using[0]]
            if any(self.made(each) for each in before):
                raise NotSure(made, "two sessions are open at the same time")
            end = self._end(body, using[0] + 1, made)
            rest = body[using[0] + 1 : end]
            return _Shape(made, before, statements(first.body), end, first, rest)
        return self._straight(body, index, name, using)

    def _end(self, body: list[Statement], index: int, made: Statement) -> int:
        """Return where the list goes on after a ``try``: behind the ``close()`` that may follow it."""
        found = assigned_name(made)
        if found and index < len(body) and called_on(body[index], found[0]) == "close":
            return index + 1
        return index

    def _straight(self, body: list[Statement], index: int, name: str, using: list[int]) -> _Shape:
        closes = [at for at in using if called_on(body[at], name) == "close"]
        if closes:
            work, rest = body[index + 1 : closes[0]], [body[closes[0]]]
            return _Shape(body[index], [], work, closes[0] + 1, closing=rest)
        end = using[-1] + 1 if using else index + 1
        return _Shape(body[index], [], body[index + 1 : end], end)

    def _without_none(self, new: list[Statement], name: str) -> list[Statement]:
        """Take out the ``db = None`` that stood above; what was said about it stays."""
        for at, statement in enumerate(new):
            found = assigned_name(statement)
            if found is not None and found[0] == name and dotted(found[1]) == "None":
                self.covered.add(statement)
                blank = [each for each in lines_of(statement) if not each.comment]
                lines = [*blank, *comment_lines(statement)]
                return [*new[:at], *said(lines), *new[at + 1 :]]
        return new

    # --- writing

    def _rewritten(self, shape: _Shape, name: str, session: Session) -> list[Statement]:
        analysis = self.files.analysis
        enders = Enders(analysis, services=self.services)
        work = Work(self.file, analysis, name, session.key, enders)
        work.learn(self.node)
        attempt = Attempt(shape.attempt, name)
        attempt.refuse_else(name)
        body = [*shape.work, *attempt.continued]
        instances = Instances(work, self.node)
        instances.refuse_returned(body)
        instances.refuse_kept()
        self._refuse_returned_later(instances, body)
        kept = frozenset(instances.names if self.is_inner else ())
        self.kept |= kept
        paths = Paths(work, kept)
        paths.follow(body)
        self.names.add(name)
        outer, self.is_inner = self.is_inner, True
        inside = without_endings(self._list(body[: len(body) - paths.tail]), paths.roles)
        self.is_inner = outer
        tail = body[len(body) - paths.tail :]
        (tail or inside).extend(said(attempt.below))
        whole = attempt.around([self._with(shape, attempt, name, inside), *tail])
        after = said([*attempt.said, *comment_lines(*shape.closing)])
        return [*self._below(shape, attempt, whole), *after]

    def _refuse_returned_later(self, instances: Instances, body: list[Statement]) -> None:
        """Make sure that no instance is returned behind the block *body*, where it was read after the last commit."""
        inside = set(every(body))
        for each in every(statements(self.node.body)):
            if each not in inside and not mentions(each, instances.work.root):
                instances.refuse_returned([each], body[-1] if body else None)

    def _below(self, shape: _Shape, attempt: Attempt, whole: list[Statement]) -> list[Statement]:
        """Return what stands before the work, and then *whole*, with the lines that were above each."""
        made, tried = lines_of(shape.made), lines_of(shape.attempt) if shape.attempt else []
        if shape.is_inside:
            above = [*tried, *([] if attempt.stays else [*attempt.above, *_comments(made)])]
        elif shape.before:
            blank = list(takewhile(lambda each: not each.comment, tried))
            above = [*blank, *_comments(made), *tried[len(blank) :], *attempt.above]
        else:
            above = [*made, *_comments(tried), *attempt.above]
        first = whole[0].with_changes(leading_lines=[*above, *lines_of(whole[0])])
        blank = [] if not shape.before else [each for each in made if not each.comment]
        return [*_lowered(shape.before, blank), first, *whole[1:]]

    def _with(
        self, shape: _Shape, attempt: Attempt, name: str, inside: list[Statement]
    ) -> cst.With:
        arguments = [_REQUIRES_NEW] if self.is_inner else []
        item = cst.WithItem(
            cst.Call(cst.Name("session_manager"), arguments), cst.AsName(cst.Name(name))
        )
        trailing = getattr(shape.made, "trailing_whitespace", cst.TrailingWhitespace())
        body = cst.IndentedBlock(inside or [cst.SimpleStatementLine([cst.Pass()])], header=trailing)
        lines = lines_of(shape.made) if shape.is_inside and attempt.stays else []
        return cst.With([item], body, leading_lines=lines)


def _comments(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    return [each for each in lines if each.comment]


def _lowered(body: list[Statement], blank: list[cst.EmptyLine]) -> list[Statement]:
    """Return *body* below the blank lines of what stood above it."""
    if not body:
        return []
    first = body[0].with_changes(leading_lines=[*blank, *lines_of(body[0])])
    return [first, *body[1:]]


_REQUIRES_NEW = cst.Arg(
    cst.SimpleString('"requires_new"'),
    cst.Name("propagation"),
    equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
)
