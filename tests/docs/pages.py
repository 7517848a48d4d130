"""The pages of the documentation, and how the code on one of them is run."""

from __future__ import annotations

import doctest
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sybil import Document, Sybil
from sybil.parsers.rest import DocTestParser, PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_FIELD = re.compile(r"^:(\w+): (.+)$", re.MULTILINE)
_BLOCK = re.compile(
    r"^( *)\.\. code-block:: (\w+)\n((?:\1 +:\w+:.*\n)*)\n((?:\1 +.*\n|\n)+)", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the file that it stands for, and its text."""

    language: str
    caption: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page."""

    path: Path

    @property
    def name(self) -> str:
        """The path below ``docs``, without the ending."""
        return str(self.path.relative_to(DOCS).with_suffix(""))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def field(self, name: str) -> str | None:
        """What the page says about itself above its title, such as ``:database: postgresql``."""
        return dict(_FIELD.findall(self.text.partition("\n\n")[0])).get(name)

    def blocks(self) -> Iterator[Block]:
        """Every block of code, in order."""
        for indent, language, options, body in _BLOCK.findall(self.text):
            width = len(indent) + 3
            lines = (line[width:] for line in body.rstrip().splitlines())
            caption = re.search(r":caption: (.+)", options)
            yield Block(language, caption.group(1) if caption else "", "\n".join(lines) + "\n")

    def run(self) -> None:
        """Run the code from top to bottom, in one namespace, and compare what it prints."""
        document: Document = _sybil().parse(self.path)
        module = sys.modules["example"] = ModuleType("example")
        document.namespace = vars(module)
        try:
            for example in document.examples():
                example.evaluate()
        finally:
            del sys.modules["example"]


def pages() -> list[Page]:
    """Every page."""
    return [Page(path) for path in sorted(DOCS.rglob("*.rst")) if "_build" not in path.parts]


def _sybil() -> Sybil:
    return Sybil(parsers=[DocTestParser(_FLAGS), PythonCodeBlockParser()])
