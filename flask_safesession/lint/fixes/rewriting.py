"""Runs the codemods over a project until nothing is left to do, and checks what they made."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import libcst as cst

from ..findings import Finding
from ..symbols import Module
from .changes import Change, Left, Outcome
from .files import File, Files, Reader
from .imports import Imports, tidied, without_own_imports
from .remaining import remaining
from .sources import compiles

__all__ = ["Codemod", "rewrite"]

Codemod = Callable[[Files], tuple[list[Change], list[Left]]]
"""Proposes changes, and says what it leaves alone."""

_ROUNDS = 4
_PASSES = 3


def rewrite(
    contents: dict[str, bytes], codemods: Sequence[Codemod], reader: Reader, wanted: frozenset[str]
) -> Outcome:
    """Return what *codemods* make of a project.

    Args:
        contents: The bytes of every file of the project.
        codemods: What to do, one after the other.
        reader: Reads the facts of the files.
        wanted: The files that may change.
    """
    run = _Run(reader, contents, dict(contents), wanted)
    left: list[Left] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rewritten code's own, about its escapes
        for _ in range(_PASSES):
            made = run.changes
            left = [each for codemod in codemods for each in run.apply(codemod)]
            if run.changes == made:
                break
        left += run.remaining(left)
    changed = {name: data for name, data in run.contents.items() if data != contents[name]}
    seen = {_as_first_seen(each, contents, run.contents) for each in left}
    return Outcome(changed, run.changes, tuple(sorted(seen.union(run.refusals))))


@dataclass
class _Run:
    reader: Reader
    original: Mapping[str, bytes]
    contents: dict[str, bytes]
    wanted: frozenset[str]
    changes: int = 0
    refusals: list[Left] = field(default_factory=list)
    refused: set[tuple[str, str]] = field(default_factory=set)
    _files: Files | None = None

    def apply(self, codemod: Codemod) -> list[Left]:
        """Apply *codemod* until it has nothing more to propose, and return what it leaves alone."""
        left: list[Left] = []
        for _ in range(_ROUNDS):
            files = self._project()
            proposed, left = codemod(files)
            for each in proposed:
                self._refuse_taken(each, files)
            wanted = [
                each
                for each in proposed
                if each.imports.keys() <= self.wanted and not self._is_refused(each)
            ]
            if not wanted:
                left += [self._outside(each) for each in proposed if not self._is_refused(each)]
                break
            self._accept(files, wanted)
        return [each for each in left if each.path in self.wanted]

    def remaining(self, left: Iterable[Left]) -> list[Left]:
        """Return what is still there, in files that may change, and that nobody has said a word about."""
        found = self.reader.findings(self.contents)
        lines = remaining(self._project(), found, (*left, *self.refusals))
        unread = self.reader.unreadable(self.contents)
        return [each for each in (*unread, *lines) if each.path in self.wanted]

    def _project(self) -> Files:
        """Return the project as it is now, read once for all codemods."""
        if self._files is None:
            self._files = self.reader.files(self.contents)
        return self._files

    def _outside(self, change: Change) -> Left:
        """Say which file a change needs that may not change."""
        other = min(change.imports.keys() - self.wanted)
        reason = f"'{other}' would have to change with it, and is not among the PATHS"
        about = change.function.facts.qualname
        return Left(change.path, change.line, f"'{change.function.name}': {reason}", about)

    def _is_refused(self, change: Change) -> bool:
        return (change.path, change.function.facts.qualname) in self.refused

    def _accept(self, files: Files, changes: list[Change]) -> None:
        """Make *changes* if the checker agrees with all of them together, else each that it agrees with."""
        before = _counted(self.reader.findings(self.contents))
        agreed = changes
        if self._objection(before, _applied(files, changes)):
            agreed = []
            for each in changes:
                objection = self._objection(before, _applied(files, [*agreed, each]))
                if objection:
                    self._refuse(each, objection)
                else:
                    agreed.append(each)
        self.contents, self._files = _applied(files, agreed), None
        self.changes += len(agreed)

    def _objection(self, before: Counter[tuple[str, str, str]], new: dict[str, bytes]) -> str:
        """Return why *new* may not be: this Python cannot compile it, or a rule finds more; empty if it may."""
        for name, data in new.items():
            old = self.contents[name]
            if data != old and compiles(old) and not compiles(data):
                return f"after the change '{name}' would no longer be Python that compiles"
        news = _news(before, self.reader.findings(new))
        return _worded(news[0]) if news else ""

    def _refuse_taken(self, change: Change, files: Files) -> None:
        """Leave a change alone whose new names mean something else in one of its files."""
        modules = {each.path: each for each in files.analysis.project.modules}
        for path, names in change.imports.items():
            for name in names:
                if not self._is_refused(change) and _is_taken(name, modules[path]):
                    reason = f"'{name}' means something else in '{path}'"
                    self._refuse(change, f"'{change.function.name}': {reason}")

    def _refuse(self, change: Change, reason: str) -> None:
        about = change.function.facts.qualname
        self.refused.add((change.path, about))
        left = Left(change.path, change.line, reason, about)
        self.refusals.append(_as_first_seen(left, self.original, self.contents))


def _worded(news: Finding) -> str:
    return f"the change would be {news.rule} in '{news.function}' ({news.path}): {news.message}"


def _is_taken(name: str, module: Module) -> bool:
    """Whether a file binds *name* to anything else than this package's own."""
    ours = f"flask_safesession.{name}"
    if name in module.classes or module.facts.imports.get(name, ours) != ours:
        return True
    return any(
        name in each.parameters
        or name in each.bindings
        or name in each.nested_by_name
        or each.facts.imports.get(name, ours) != ours
        for each in module.everything()
    )


def _as_first_seen(left: Left, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Left:
    """Return what is left at the line that it had in the file as it was."""
    before, now = old[left.path].splitlines(), new[left.path].splitlines()
    if before == now:
        return left
    same = difflib.SequenceMatcher(None, now, before, autojunk=False).get_matching_blocks()
    above = (each for each in same if each.a < left.line <= each.a + each.size)
    return next((replace(left, line=left.line - each.a + each.b) for each in above), left)


def _counted(findings: Iterable[Finding]) -> Counter[tuple[str, str, str]]:
    return Counter((each.path, each.function, each.rule) for each in findings)


def _news(before: Counter[tuple[str, str, str]], findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that were not there before."""
    room = before.copy()
    news: list[Finding] = []
    for each in findings:
        key = (each.path, each.function, each.rule)
        room[key] -= 1
        if room[key] < 0:
            news.append(each)
    return news


# --- writing the trees


def _applied(files: Files, changes: Sequence[Change]) -> dict[str, bytes]:
    contents = dict(files.contents)
    for name in sorted({name for each in changes for name in each.imports}):
        own = [each for each in changes if name in each.imports]
        contents[name] = _written(files, files.file(name), own)
    return contents


def _written(files: Files, file: File, changes: Sequence[Change]) -> bytes:
    edits = {old: new for each in changes for old, new in each.edits.items()}
    new = file.tree.visit(_Replace(edits))
    wanted = frozenset(name for each in changes for name in each.imports[file.name])
    return tidied(file.tree, new, _imports(files, file, wanted)).bytes


def _imports(files: Files, file: File, wanted: frozenset[str]) -> Imports:
    modules = files.analysis.project.modules
    local = frozenset(each.name.partition(".")[0] for each in modules if each.name)
    own = next((each.name for each in modules if each.path == file.name), "")
    last = own.rpartition(".")[2]
    exported = {
        target.rpartition(".")[2]
        for each in modules
        for target in each.facts.imports.values()
        if target.rpartition(".")[0].endswith(last) and each.path != file.name
    }
    starred = any(star.endswith(last) for each in modules for star in each.facts.stars)
    starred = starred or file.name.endswith("__init__.py")
    everything = {name for each in modules if each.path == file.name for name in each.facts.imports}
    return Imports(wanted, local, frozenset(everything if starred else exported))


class _Replace(cst.CSTTransformer):
    def __init__(self, edits: dict[cst.CSTNode, cst.CSTNode]) -> None:
        super().__init__()
        self.edits = edits

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node not in self.edits

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode:
        return without_own_imports(original_node, self.edits.get(original_node, updated_node))
