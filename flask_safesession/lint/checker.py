"""The way in: from files to findings, in two passes."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from .analysis import Analysis
from .extract import extract, module_name
from .facts import ModuleFacts
from .files import read
from .findings import Finding
from .options import Options
from .parsing import Unreadable, is_relevant, parse, uses_sqlalchemy
from .project import Project
from .rules import RULES
from .rules.txn001_not_checked import not_checked
from .wiring import wired

__all__ = ["Cache", "check", "is_test"]

# What is kept of a file changes with the code that extracts it.
_FORMAT = "3"
_AT_ONCE = 32
_TEST_DIRECTORIES = frozenset({"test", "tests", "migrations", "alembic"})


_Item = tuple[str, bytes | str]
_Reader = Callable[[tuple[str, bytes | str]], ModuleFacts | None]
_Read = tuple["ModuleFacts | None", "bytes | None"]


class Cache(Protocol):
    """Keeps what was learnt about a content; the keys hold everything that it depends on."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under *key*, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*."""


def check(
    files: Sequence[Path],
    options: Options,
    *,
    root: Path,
    jobs: int = 1,
    cache: Cache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Return what the rules find in *files*, sorted by place, at every level and before any suppression.

    Args:
        files: The files to read, as :func:`flask_safesession.lint.files.collect` returns them.
        options: What the project says about itself.
        root: The directory that the paths of the findings are relative to.
        jobs: How many processes read files at once; 1 reads them in this one.
        cache: Where what was learnt is kept for the next run.
        progress: Called with the number of files that were read and that there are.
    """
    wanted = [(each, _relative(each, root)) for each in files]
    wanted = [each for each in wanted if options.tests or not is_test(each[1])]
    contents = [(path, name, _content(path)) for path, name in wanted]
    contents = [each for each in contents if options.tests or not _is_migration(each[2])]
    key = _run_key(contents, options) if cache is not None else ""
    known = cache.get(key) if cache is not None else None
    if known is not None:
        return cast("list[Finding]", pickle.loads(known))  # noqa: S301 - the cache is this program's own
    with _collector_off(), _deep_recursion():
        facts = list(_all_facts(contents, jobs, cache, progress))
        found = _findings(facts, options)
    if cache is not None:
        cache.put(key, pickle.dumps(found, pickle.HIGHEST_PROTOCOL))
    return found


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def is_test(name: str) -> bool:
    """Whether a file belongs to tests or migrations, by the names around it."""
    *directories, last = name.split("/")
    if any(each in _TEST_DIRECTORIES for each in directories):
        return True
    return last == "conftest.py" or fnmatchcase(last, "test_*.py") or fnmatchcase(last, "*_test.py")


def _is_migration(content: bytes | str) -> bool:
    return isinstance(content, bytes) and b"down_revision" in content and b"alembic" in content


def _content(path: Path) -> bytes | str:
    try:
        return read(path)
    except OSError as error:
        return f"it could not be read: {error.strerror or error}"


def _run_key(contents: Iterable[tuple[Path, str, bytes | str]], options: Options) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {sys.version_info[:2]} {options!r}".encode())
    for _, name, content in contents:
        digest.update(f"\0{name}\0".encode(errors="surrogatepass"))
        digest.update(content if isinstance(content, bytes) else content.encode())
    return f"run-{digest.hexdigest()}"


# --- the first pass


def _all_facts(
    contents: Sequence[tuple[Path, str, bytes | str]],
    jobs: int,
    cache: Cache | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[ModuleFacts]:
    """Return the facts of the files that have any; in a project without SQLAlchemy that is none of them."""
    foreign = not any(isinstance(each, bytes) and uses_sqlalchemy(each) for _, _, each in contents)
    reader = partial(_facts, foreign=foreign)
    context = f"{foreign}"
    work = [(name, each) for _, name, each in contents]
    for done, facts in enumerate(_read(work, reader, jobs, cache, context), 1):
        if progress is not None:
            progress(done, len(contents))
        if facts is not None:
            yield facts


def _read(
    work: Sequence[_Item], reader: _Reader, jobs: int, cache: Cache | None, context: str
) -> Iterator[ModuleFacts | None]:
    """Return the facts of every file, those that are kept first."""
    if cache is None:
        yield from (facts for facts, _ in _in_processes(work, reader, jobs))
        return
    missing: list[tuple[str, _Item]] = []
    for item in work:
        key = _file_key(item, context)
        known = cache.get(key)
        if known is None:
            missing.append((key, item))
        else:
            yield cast("ModuleFacts | None", pickle.loads(known))  # noqa: S301 - the cache is this program's own
    found = _in_processes([item for _, item in missing], reader, jobs)
    for (key, _), (facts, pickled) in zip(missing, found, strict=True):
        cache.put(key, _pickled(facts) if pickled is None else pickled)
        yield facts


def _in_processes(work: Sequence[_Item], reader: _Reader, jobs: int) -> Iterator[_Read]:
    """Return what *reader* makes of each item, in this process where more would not pay, else pickled as well."""
    if jobs < 2 or len(work) <= _AT_ONCE:
        yield from ((reader(each), None) for each in work)
        return
    with ProcessPoolExecutor(max_workers=jobs, initializer=_raise_limit) as pool:
        for pickled in pool.map(partial(_read_pickled, reader), work, chunksize=_AT_ONCE):
            yield pickle.loads(pickled), pickled  # noqa: S301 - a process of this program made it


def _read_pickled(reader: _Reader, item: _Item) -> bytes:
    return _pickled(reader(item))


def _pickled(facts: ModuleFacts | None) -> bytes:
    return pickle.dumps(facts, pickle.HIGHEST_PROTOCOL)


def _file_key(item: _Item, context: str) -> str:
    name, content = item
    digest = hashlib.sha256(
        f"{_FORMAT} {sys.version_info[:2]} {context} {name}\0".encode(errors="surrogatepass")
    )
    digest.update(content if isinstance(content, bytes) else content.encode())
    return f"file-{digest.hexdigest()}"


def _facts(item: tuple[str, bytes | str], *, foreign: bool) -> ModuleFacts | None:
    """Return the facts of one file, None where nothing in it can matter; a broken one is named all the same."""
    path, content = item
    name, is_package = module_name(path)
    if isinstance(content, str):
        return ModuleFacts(path, name, is_package, error=content)
    try:
        tree = parse(content)
        if foreign or not is_relevant(content):
            return None
        return replace(extract(tree, path), wired=wired(content))
    except Unreadable as error:
        return ModuleFacts(path, name, is_package, error=error.reason, error_line=error.line)
    except RecursionError:
        return ModuleFacts(path, name, is_package, error="its expressions are nested too deeply")


# --- the second pass


def _findings(facts: Iterable[ModuleFacts], options: Options) -> list[Finding]:
    readable: list[ModuleFacts] = []
    found: list[Finding] = []
    for each in facts:
        if each.error:
            found.append(not_checked(each))
        else:
            readable.append(each)
    if readable:
        analysis = Analysis(Project(readable, options))
        for rule in RULES:
            found += rule.find(analysis)
    return sorted(set(found), key=_order)


def _order(each: Finding) -> tuple[str, int, int, str, str]:
    return each.path, each.line, each.column, each.rule, each.message


@contextmanager
def _collector_off() -> Iterator[None]:
    """Stop the cyclic collector: trees and facts are many objects, and none of them is garbage before the end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _deep_recursion() -> Iterator[None]:
    before = sys.getrecursionlimit()
    _raise_limit()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _raise_limit() -> None:
    """Let the walks go as deep as a parsed file can be nested."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4_000))
