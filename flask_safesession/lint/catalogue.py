"""Every id that may stand behind a finding: the rules, and what the checker says about comments to itself."""

from __future__ import annotations

from collections.abc import Iterable

from .refusals import CannotRunError, unknown
from .rules import RULES, Rule

__all__ = ["COMMENTS", "catalogue", "find_rule", "is_prefix", "rule_ids", "split_ids"]

COMMENTS = Rule(
    id="TXN002",
    slug="comment-without-effect",
    levels=("warning",),
    summary="A comment that should silence a finding has no reason, names no rule, or silences nothing.",
    # The comments are judged after all rules have spoken, in suppressions.py.
    find=lambda project: (),
)


def catalogue() -> tuple[Rule, ...]:
    """The rules and the remark about comments, in the order of their ids."""
    return tuple(sorted((*RULES, COMMENTS), key=lambda rule: rule.id))


def rule_ids() -> tuple[str, ...]:
    """The ids of the catalogue."""
    return tuple(rule.id for rule in catalogue())


def find_rule(name: str) -> Rule:
    """Return the rule whose id or slug is *name*.

    Raises:
        CannotRunError: If there is none.
    """
    for rule in catalogue():
        if name.upper() == rule.id or name.lower() == rule.slug:
            return rule
    raise CannotRunError(unknown(name, rule_ids(), what="a rule", plural="rules"))


def split_ids(values: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the ids and prefixes of ids in *values*, each of which may hold several with commas.

    Args:
        values: As they were written.
        where: The option or key that they come from, for the error.

    Raises:
        CannotRunError: If no rule begins with one of them.
    """
    written = tuple(values)
    names = tuple(part.strip().upper() for value in written for part in value.split(","))
    if written and not any(names):
        raise CannotRunError(f"{where} names no rule. Name one, such as 'TXN301', or leave it out.")
    for name in filter(None, names):
        if not is_prefix(name):
            raise CannotRunError(
                f"{where}: {unknown(name, rule_ids(), what='a rule or the beginning of one', plural='rules')}"
            )
    return tuple(filter(None, names))


def is_prefix(name: str) -> bool:
    """Whether some id begins with *name*."""
    return any(each.startswith(name) for each in rule_ids())
