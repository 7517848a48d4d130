"""The page of a rule, for a terminal and for reports."""

from __future__ import annotations

import re
from pathlib import Path

from .rules import Rule

__all__ = ["explain", "page"]

# A wheel carries the pages beside this module; a checkout has them among the docs.
_FOLDERS = (
    Path(__file__).parent / "pages",
    Path(__file__).parents[2] / "docs" / "reference" / "checker",
)

_CODE = re.compile(r"^\.\. code-block:: \w+\n(?: +:caption: (?P<caption>.+)\n)?", re.MULTILINE)
_ROLE = re.compile(r":\w+:`([^`<]+)(?: <[^>]+>)?`")
_FIELDS = re.compile(r"\A(?::.+\n)+\n")


def stem(rule: Rule) -> str:
    """The name of the page of *rule*."""
    return f"{rule.id.lower()}-{rule.slug}"


def page(rule: Rule) -> str:
    """Return the page of *rule* as plain text; its summary where the pages were not installed."""
    for folder in _FOLDERS:
        file = folder / f"{stem(rule)}.rst"
        if file.is_file():
            return _plain(file.read_text(encoding="utf-8"))
    return f"{rule.summary}\n"


def explain(rule: Rule) -> str:
    """Return what ``--explain`` prints: the page under the id and the levels of *rule*."""
    levels = ", ".join(rule.levels)
    return f"{rule.id} {rule.slug} ({levels})\n\n{page(rule)}"


def _plain(text: str) -> str:
    text = _FIELDS.sub("", text)
    text = _CODE.sub(lambda found: f"{found['caption']}:\n" if found["caption"] else "", text)
    return _ROLE.sub(r"\1", text).replace("``", "`")
