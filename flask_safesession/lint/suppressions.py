"""Which findings a comment silences, and which comments silence nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .catalogue import COMMENTS, rule_ids
from .comments import Comment
from .findings import Finding
from .refusals import unknown

__all__ = ["Judged", "Silenced", "judge"]


@dataclass(frozen=True, slots=True)
class Silenced:
    """A finding that somebody has accepted.

    Attributes:
        finding: What was found.
        kind: ``inSource`` for a comment, ``external`` for a baseline, the words of SARIF.
        reason: Why it is accepted.
    """

    finding: Finding
    kind: Literal["inSource", "external"]
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings after the comments were heard, and what there is to say about the comments."""

    left: list[Finding]
    silenced: list[Silenced]
    remarks: list[Finding]


Saw = Callable[[str, str], bool]
"""Whether a rule was looked for in a path."""

_Use = tuple[str, Comment, str]


def judge(
    findings: Iterable[Finding], comments: Mapping[str, Sequence[Comment]], saw: Saw
) -> Judged:
    """Let the *comments* of each path speak about the *findings*.

    Args:
        findings: What the rules found.
        comments: The comments by path.
        saw: Which rules had a chance to find something: a comment about another one is not called unused.
    """
    judged = Judged([], [], [])
    used: set[_Use] = set()
    for finding in findings:
        use = _silencer(finding, comments.get(finding.path, ()))
        if use is None:
            judged.left.append(finding)
        else:
            used.add(use)
            judged.silenced.append(_silenced(finding, use[1]))
    for path, each in comments.items():
        for comment in each:
            judged.remarks.extend(_remarks(path, comment, used, saw))
    return judged


def _silenced(finding: Finding, comment: Comment) -> Silenced:
    return Silenced(finding, "inSource", comment.reason or comment.text)


def _silencer(finding: Finding, comments: Sequence[Comment]) -> _Use | None:
    for comment in comments:
        if comment.holds and comment.covers(finding.line):
            name = comment.names(finding.rule)
            if name is not None:
                return finding.path, comment, name
    return None


def _remarks(path: str, comment: Comment, used: set[_Use], saw: Saw) -> Iterator[Finding]:
    if comment.kind == "noqa" or not saw(COMMENTS.id, path):
        return
    flaw = _flaw(comment)
    if flaw is not None:
        yield _remark(path, comment, *flaw)
        return
    for rule in comment.rules:
        if saw(rule, path) and (path, comment, rule) not in used:
            where = "this file" if comment.kind == "ignore-file" else "this statement"
            fact = f"'{comment.kind}[{rule}]' silences nothing: the rule finds nothing in {where}."
            yield _remark(path, comment, fact, f"Remove '{rule}' from the comment.")


def _flaw(comment: Comment) -> tuple[str, str] | None:
    """Why the comment cannot hold, and what to write instead."""
    example = f"Write '# safesession: {_as_meant(comment)}'."
    if comment.kind == "unclear":
        return f"'{comment.text}' is not understood, so it silences nothing.", example
    if not comment.rules:
        return f"'{comment.text}' names no rule, so it silences nothing.", example
    for rule in comment.rules:
        if rule not in rule_ids():
            fact = unknown(rule, rule_ids(), what="a rule", plural="rules")
            return fact, "Name a rule of the checker, or remove the comment."
    if not comment.reason:
        return f"'{comment.text}' gives no reason, so it silences nothing.", example
    return None


def _as_meant(comment: Comment) -> str:
    kind = "ignore-file" if "ignore-file" in comment.text else "ignore"
    rules = ",".join(comment.rules) or "TXN502"
    return f"{kind}[{rules}] and the reason"


def _remark(path: str, comment: Comment, message: str, call: str) -> Finding:
    return Finding(
        path=path,
        line=comment.line,
        column=comment.column,
        end_line=comment.line,
        end_column=comment.column + len(comment.text),
        rule=COMMENTS.id,
        level=COMMENTS.levels[0],
        message=message,
        call=call,
        function="",
    )
