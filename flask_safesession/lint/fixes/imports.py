"""The imports of a rewritten file: what it uses now is added, what only the old code used is taken out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile

import libcst as cst

from .trees import Statement, comment_lines, dotted, lines_of, only, statements, suite_of

__all__ = ["Imports", "tidied", "without_own_imports"]

_PACKAGE = "flask_safesession"


@dataclass(frozen=True)
class Imports:
    """What the imports of a file have to do with others.

    Attributes:
        wanted: The names that the new code needs from this package.
        local: The top packages of the project.
        exported: The names that other files import from this one.
    """

    wanted: frozenset[str]
    local: frozenset[str]
    exported: frozenset[str]


def tidied(old: cst.Module, new: cst.Module, imports: Imports) -> cst.Module:
    """Return *new* with its imports in order."""
    body = [*new.body]
    body = _without_unused(body, _words(old) - _words(new) - imports.exported)
    missing = sorted(imports.wanted - _bound(body))
    if missing:
        body = _added(body, missing, imports.local)
    body[:1] = [each.with_changes(leading_lines=_from_comment(each)) for each in body[:1]]
    return new.with_changes(body=body)


def without_own_imports(old: cst.CSTNode, new: cst.CSTNode) -> cst.CSTNode:
    """Return *new* without the imports at the top of a function that only *old* needed; anything else as it is."""
    if not isinstance(old, cst.FunctionDef) or not isinstance(new, cst.FunctionDef):
        return new
    body = statements(new.body)
    if not any(map(_is_import, body)):
        return new
    unused = _words_in(statements(old.body)) - _words_in(body)
    left = _without_unused(body, unused)
    return new if left == body else new.with_changes(body=suite_of(new.body, left))


def _from_comment(statement: Statement) -> list[cst.EmptyLine]:
    """Return the lines above the first statement, without the blank ones that separated it from what is gone."""
    return list(dropwhile(lambda each: each.comment is None, lines_of(statement)))


def _bound(body: Iterable[cst.CSTNode]) -> set[str]:
    found: set[str] = set()
    for statement in body:
        small = only(statement)
        if isinstance(small, cst.ImportFrom) and _module(small) == _PACKAGE:
            found |= {_alias(each) for each in _aliases(small)}
    return found


def _module(small: cst.ImportFrom) -> str:
    return "" if small.module is None or small.relative else dotted(small.module)


def _aliases(small: cst.Import | cst.ImportFrom) -> list[cst.ImportAlias]:
    return [] if isinstance(small.names, cst.ImportStar) else list(small.names)


def _alias(each: cst.ImportAlias) -> str:
    """Return the name that an import binds."""
    return each.evaluated_alias or each.evaluated_name.partition(".")[0]


# --- taking out


def _without_unused(body: list[Statement], unused: set[str]) -> list[Statement]:
    kept: list[Statement] = []
    orphans: list[cst.EmptyLine] = []
    for statement in body:
        left = _used_part(statement, unused)
        if left is None:
            orphans = [*orphans, *lines_of(statement)]
            continue
        if orphans:
            own = lines_of(left)
            above = (
                [each for each in orphans if each.comment]
                if own or not _is_import(left)
                else orphans
            )
            left = left.with_changes(leading_lines=[*above, *own])
            orphans = []
        kept.append(left)
    return kept


def _used_part(statement: Statement, unused: set[str]) -> Statement | None:
    small = only(statement)
    if (
        not isinstance(small, cst.Import | cst.ImportFrom)
        or comment_lines(statement)[len(_comments_above(statement)) :]
    ):
        return statement
    aliases = _aliases(small)
    left = [each for each in aliases if _alias(each) not in unused]
    if len(left) == len(aliases):
        return statement
    if not left:
        return None
    left[-1] = left[-1].with_changes(comma=aliases[-1].comma)
    return statement.with_changes(body=[small.with_changes(names=left)])


def _comments_above(statement: Statement) -> list[cst.EmptyLine]:
    return [each for each in lines_of(statement) if each.comment]


def _words(tree: cst.Module) -> set[str]:
    """Return every word outside of the imports, in strings and comments too."""
    return _words_in(tree.body)


def _words_in(body: Iterable[cst.CSTNode]) -> set[str]:
    empty = cst.Module([])
    lines = (empty.code_for_node(each) for each in body if not _is_import(each))
    return {word for line in lines for word in re.findall(r"\w+", line)}


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(only(statement), cst.Import | cst.ImportFrom)


# --- adding


def _added(body: list[Statement], names: list[str], local: frozenset[str]) -> list[Statement]:
    for at, statement in enumerate(body):
        small = only(statement)
        if isinstance(small, cst.ImportFrom) and _module(small) == _PACKAGE and _aliases(small):
            return [*body[:at], _extended(statement, small, names), *body[at + 1 :]]
    new = cst.parse_statement(f"from {_PACKAGE} import {', '.join(names)}")
    at = _position(body, local)
    below = body[at] if at < len(body) else None
    if (at and _rank(body[at - 1], local) == _OURS) or below is None:
        return [*body[:at], new, *body[at:]]
    if _rank(below, local) == _OURS:
        new = new.with_changes(leading_lines=lines_of(below))
        return [*body[:at], new, below.with_changes(leading_lines=()), *body[at + 1 :]]
    above = [cst.EmptyLine(indent=False)] if at else []
    if not lines_of(below):
        below = below.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    return [*body[:at], new.with_changes(leading_lines=above), below, *body[at + 1 :]]


def _extended(statement: Statement, small: cst.ImportFrom, names: list[str]) -> Statement:
    aliases = _aliases(small)
    last = aliases[-1].comma
    comma = next(
        (each.comma for each in aliases[:-1]), cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    )
    aliases[-1] = aliases[-1].with_changes(comma=comma)
    new = [cst.ImportAlias(cst.Name(each), comma=comma) for each in names]
    joined = sorted([*aliases, *new], key=lambda each: _alias(each).lower())
    joined[-1] = joined[-1].with_changes(comma=last)
    return statement.with_changes(body=[small.with_changes(names=joined)])


_FUTURE, _STANDARD, _OURS, _LOCAL = range(4)


def _rank(statement: cst.CSTNode, local: frozenset[str]) -> int:
    """Return the group of an import, -1 for what is none; a line with ``__future__`` is of that group."""
    found = [_rank_of(each, local) for each in _smalls(statement)]
    if not found or _FUTURE in found:
        return _FUTURE if found else -1
    return -1 if -1 in found else max(found)


def _smalls(statement: cst.CSTNode) -> Sequence[cst.BaseSmallStatement]:
    return statement.body if isinstance(statement, cst.SimpleStatementLine) else ()


def _rank_of(small: cst.BaseSmallStatement, local: frozenset[str]) -> int:
    if isinstance(small, cst.ImportFrom):
        if small.relative:
            return _LOCAL
        root = _module(small).partition(".")[0]
    elif isinstance(small, cst.Import):
        root = small.names[0].evaluated_name.partition(".")[0]
    else:
        return -1
    if root == "__future__":
        return _FUTURE
    if root in sys.stdlib_module_names:
        return _STANDARD
    return _LOCAL if root in local else _OURS


def _position(body: Sequence[Statement], local: frozenset[str]) -> int:
    """Return where the import belongs: sorted among the other packages, below the standard library's."""
    at = 1 if body and _is_docstring(body[0]) else 0
    above = takewhile(lambda each: 0 <= _rank(each, local) <= _OURS, body[at:])
    for index, statement in enumerate(above, at):
        if _rank(statement, local) < _OURS or _name(statement) < _PACKAGE:
            at = index + 1
    return at


def _is_docstring(statement: cst.CSTNode) -> bool:
    small = next(iter(_smalls(statement)), None)
    return isinstance(small, cst.Expr) and isinstance(
        small.value, cst.SimpleString | cst.ConcatenatedString
    )


def _name(statement: cst.CSTNode) -> str:
    small = only(statement)
    if isinstance(small, cst.ImportFrom):
        return _module(small).lower()
    return small.names[0].evaluated_name.lower() if isinstance(small, cst.Import) else ""
