"""One run: from paths to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .baseline import Baseline, Key
from .cache import Store, digest, fingerprint, open_store
from .checker import check, is_test
from .comments import Comment, read_comments
from .configuration import Configuration
from .files import collect, read
from .findings import Finding
from .report import Report, Sources, sorted_findings
from .snapshot import Snapshot, relative_name
from .suppressions import Silenced, judge

__all__ = ["Request", "run"]

Progress = Callable[[int, int], None]

_NOT_CHECKED = "TXN001"


@dataclass(frozen=True)
class Request:
    """What is asked of a run.

    Attributes:
        paths: Files and directories.
        configuration: What the project and the command line say about it.
        jobs: How many processes read files.
        use_cache: Whether what earlier runs learnt is used and kept.
        baseline: The file of accepted findings.
    """

    paths: tuple[Path, ...]
    configuration: Configuration
    jobs: int = 1
    use_cache: bool = True
    baseline: Path | None = None


def run(request: Request, progress: Progress | None = None) -> Report:
    """Check the files of *request*.

    Args:
        request: What is asked.
        progress: Called with the number of files that were read and that there are.

    Raises:
        CannotRunError: If the baseline cannot be read or written.
    """
    root = request.configuration.root
    snapshot = Snapshot.take(_files(request), root)
    old = None if request.baseline is None else Baseline.read(request.baseline)
    found = _remembered(request, snapshot, progress)
    sight = _Sight(request.configuration, snapshot, _unread(found))
    report = _report(sight, found)
    if request.baseline is None:
        return report
    return _held_against(report, old, request.baseline, sight)


def _files(request: Request) -> list[Path]:
    """The files to check; a comment in one that no rule looks at is not asked what it silences."""
    root, options = request.configuration.root, request.configuration.options
    files = collect(request.paths, options.exclude, root=root)
    return [each for each in files if options.tests or not is_test(relative_name(each, root))]


def _remembered(request: Request, snapshot: Snapshot, progress: Progress | None) -> list[Finding]:
    """The findings of the last run where nothing has changed since, else those of a new one."""
    if not request.use_cache:
        return _found(request, snapshot, None, progress)
    options = repr(request.configuration.options)
    name = digest([options.encode(), snapshot.names_key().encode()])
    key = digest(part.encode() for part in (fingerprint(), options, snapshot.key()))
    store = open_store(request.configuration.root)
    findings = store.findings(name, key)
    if findings is None:
        findings = _found(request, snapshot, store, progress)
        store.keep_findings(name, key, findings)
        store.close()
    return findings


def _found(
    request: Request, snapshot: Snapshot, store: Store | None, progress: Progress | None
) -> list[Finding]:
    return check(
        list(snapshot.files.values()),
        request.configuration.options,
        root=request.configuration.root,
        jobs=request.jobs,
        cache=store,
        progress=progress,
    )


@dataclass(frozen=True)
class _Sight:
    """What a run was able to see, so that "nothing found" means that nothing is there."""

    configuration: Configuration
    snapshot: Snapshot
    unread: frozenset[str]

    def saw(self, rule: str, path: str) -> bool:
        """Whether *rule* was looked for in *path*."""
        if path in self.unread and rule != _NOT_CHECKED:
            return False
        return self.configuration.selection.looks_at(rule, path)

    def counted(self, key: Key) -> bool:
        """Whether the findings of a path and rule are all known: a file that is gone has none."""
        path, rule = key
        is_known = path in self.snapshot.files or not (self.configuration.root / path).exists()
        return is_known and self.saw(rule, path)


def _unread(found: Iterable[Finding]) -> frozenset[str]:
    return frozenset(each.path for each in found if each.rule == _NOT_CHECKED)


def _report(sight: _Sight, found: list[Finding]) -> Report:
    selection, snapshot = sight.configuration.selection, sight.snapshot
    looked_at = [each for each in found if selection.looks_at(each.rule, each.path)]
    judged = judge(looked_at, _comments(snapshot, looked_at), sight.saw)
    left = sorted_findings((*judged.left, *judged.remarks))
    return Report(
        sources=Sources(sight.configuration.root),
        files=len(snapshot.files),
        shown=tuple(each for each in left if selection.shows(each)),
        hidden=tuple(each for each in left if not selection.shows(each)),
        silenced=tuple(judged.silenced),
    )


def _comments(snapshot: Snapshot, findings: Iterable[Finding]) -> dict[str, list[Comment]]:
    """The comments wherever one may matter: where something was found, or where one asks for silence."""
    paths = snapshot.marked.union(each.path for each in findings)
    return {path: _read(snapshot.files[path]) for path in sorted(paths)}


def _read(file: Path) -> list[Comment]:
    try:
        return read_comments(read(file))
    except OSError:
        return []  # the finding about this file is that it cannot be read


def _held_against(report: Report, old: Baseline | None, file: Path, sight: _Sight) -> Report:
    """Accept what *old* allows, or everything where there is no baseline yet, and keep the lower counts."""
    baseline = old or Baseline.of(report.shown)
    new, accepted = baseline.split(report.shown)
    tightened = baseline.tightened((*report.shown, *report.hidden), sight.counted)
    if old is None or tightened != old:
        tightened.write(file)
    reason = f"It was there when '{file.name}' was made."
    silenced = (Silenced(each, "external", reason) for each in accepted)
    return Report(
        report.sources, report.files, tuple(new), report.hidden, (*report.silenced, *silenced)
    )
