"""The comments in checked code that are meant for the checker."""

from __future__ import annotations

import io
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["MARK", "Comment", "read_comments"]

MARK = b"safesession:"

Kind = Literal["ignore", "ignore-file", "noqa", "unclear"]

_OWN = re.compile(r"#\s*safesession:\s*(?P<text>[^#]*)")
_IGNORE = re.compile(r"(?P<kind>ignore-file|ignore)\s*\[(?P<rules>[^\]]*)\](?P<reason>.*)")
# As flake8 reads it: ids, separated by commas or blanks, in any case.
_NOQA = re.compile(r"#\s*noqa\s*:\s*(?P<rules>[a-z]+[0-9]+(?:[,\s]+[a-z]+[0-9]+)*)", re.IGNORECASE)
_BEFORE_REASON = " \t:;,-–—"  # noqa: RUF001 - the dashes that people type


@dataclass(frozen=True, slots=True)
class Comment:
    """One request to be silent.

    Attributes:
        kind: ``ignore``, ``ignore-file``, ``noqa``, or ``unclear`` where nothing of it was understood.
        rules: The ids that it names, in capitals.
        reason: Why, in the author's words; empty where none is given.
        text: The request as it is written.
        line: Where it stands, counted from 1, as is the column.
        statement: The first and the last line of the statement that it stands at.
    """

    kind: Kind
    rules: tuple[str, ...]
    reason: str
    text: str
    line: int
    column: int
    statement: tuple[int, int]

    @property
    def holds(self) -> bool:
        """Whether it silences anything: all but ``noqa`` need a rule and a reason."""
        return self.kind == "noqa" or bool(self.kind != "unclear" and self.rules and self.reason)

    def covers(self, line: int) -> bool:
        """Whether it speaks about a finding at *line*: from the first or last line of the statement, or from there."""
        if self.kind == "ignore-file":
            return True
        first, last = self.statement
        return line == self.line or (self.line in (first, last) and first <= line <= last)

    def names(self, rule: str) -> str | None:
        """Return the name by which it means *rule*; ``noqa`` takes the beginning of an id as well, as flake8 does."""
        if self.kind != "noqa":
            return rule if rule in self.rules else None
        return next((each for each in self.rules if rule.startswith(each)), None)


def read_comments(source: bytes) -> list[Comment]:
    """Return the comments of a file for the checker, in order."""
    if MARK not in source and b"noqa" not in source.lower():
        return []
    return list(_comments(source))


def _comments(source: bytes) -> Iterator[Comment]:
    for text, line, column, statement in _places(source):
        for found in _OWN.finditer(text):
            yield _own(found, line, column, statement)
        for found in _NOQA.finditer(text):
            rules = tuple(re.split(r"[,\s]+", found["rules"].upper()))
            yield Comment("noqa", rules, "", found[0], line, column + found.start(), statement)


def _own(found: re.Match[str], line: int, column: int, statement: tuple[int, int]) -> Comment:
    column += found.start()
    whole = found[0].strip()
    ignore = _IGNORE.match(found["text"])
    if ignore is None:
        return Comment("unclear", (), "", whole, line, column, statement)
    rules = tuple(each.strip().upper() for each in ignore["rules"].split(",") if each.strip())
    reason = ignore["reason"].strip(_BEFORE_REASON)
    kind: Kind = "ignore-file" if ignore["kind"] == "ignore-file" else "ignore"
    return Comment(kind, rules, reason, whole, line, column, statement)


Place = tuple[str, int, int, tuple[int, int]]


def _places(source: bytes) -> list[Place]:
    """Each comment with its line, its column and the lines of its statement."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings, from Python 3.12 on
            return list(_tokenized(source))
    except _NOT_PYTHON:
        return list(_by_line(source.decode("utf-8", "replace")))


# What the tokenizer raises for a file that is not Python yet, or no more: then every line is a statement. LookupError
# and ValueError come from codecs that are none for text, SystemError from CPython's own tokenizer for some null bytes.
_NOT_PYTHON = (tokenize.TokenError, SyntaxError, ValueError, LookupError, SystemError)


def _tokenized(source: bytes) -> Iterator[Place]:
    waiting: list[tuple[str, int, int]] = []
    first = 0
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            waiting.append((token.string, token.start[0], token.start[1] + 1))
        elif token.type == tokenize.NEWLINE:
            yield from _at_statement(waiting, (first, token.start[0]))
            waiting, first = [], 0
        elif token.type not in _BLANK:
            first = first or token.start[0]
    yield from _at_statement(waiting, (_NOWHERE, _NOWHERE))


_BLANK = frozenset(
    {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
)


_NOWHERE = sys.maxsize


def _at_statement(
    comments: list[tuple[str, int, int]], statement: tuple[int, int]
) -> Iterator[Place]:
    for text, line, column in comments:
        yield text, line, column, statement if line >= statement[0] else (line, line)


def _by_line(source: str) -> Iterator[Place]:
    for number, line in enumerate(source.splitlines(), 1):
        column = line.find("#")
        if column >= 0:
            yield line[column:], number, column + 1, (number, number)
