"""The command ``fix``; LibCST and the rooms that need it are imported when it runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .checker import is_test
from .commands import OneLineCommand, printable
from .configuration import Configuration, load
from .files import collect, read
from .findings import one_line
from .origins import last_name
from .parsing import decode
from .refusals import CannotRunError, unknown
from .snapshot import relative_name

if TYPE_CHECKING:
    from .analysis import Analysis
    from .fixes.changes import Left, Outcome

__all__ = ["fix"]

_PENDING = 1
_PATH = click.Path(exists=True, path_type=Path)


@click.command(cls=OneLineCommand)
@click.argument("paths", nargs=-1, type=_PATH)
@click.option("--diff", is_flag=True, help="Show the changes; this is what happens by default.")
@click.option("--write", is_flag=True, help="Make the changes.")
@click.option(
    "--factory", multiple=True, metavar="NAME", help="Rewrite the sessions of this factory only."
)
@click.option("--tests/--no-tests", default=None, help="Rewrite tests and migrations too.")
@click.pass_context
def fix(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    diff: bool,
    write: bool,
    factory: tuple[str, ...],
    tests: bool | None,
) -> None:
    """Rewrite session code below PATHS, by default below this directory, where the outcome is sure.

    The whole project is read, to know who calls what; only files below PATHS change. Changes are shown as a diff, and
    each place that is left alone is named with the reason on stderr. The exit code is 0 if nothing is to do or it was
    written, 1 if the diff shows changes, and 2 if the command could not run.
    """
    if find_spec("libcst") is None:
        raise CannotRunError(
            "'fix' needs LibCST. Install it: pip install \"flask-safesession[lint]\"."
        )
    if diff and write:
        raise CannotRunError(
            "'--diff' shows the changes and '--write' makes them: name one of them."
        )
    paths = paths or (Path(),)
    configuration = load(paths[0])
    if tests is not None:
        configuration = replace(configuration, options=replace(configuration.options, tests=tests))
    files = _files(paths, configuration)
    contents, unread = _read(files)
    wanted = _wanted(paths, configuration)
    linked = {name for name in wanted if name in files and not _is_below(files[name], paths)}
    wanted -= linked
    outcome = _rewritten(contents, configuration, wanted & contents.keys(), frozenset(factory))
    left = [each for each in unread if each.path in wanted]
    left += _linked(linked, contents)
    outcome = replace(outcome, left=tuple(sorted((*left, *outcome.left))))
    _report(outcome, configuration.root)
    if not write:
        _show(outcome.contents, contents)
        ctx.exit(_PENDING if outcome.contents else 0)
    _write(outcome.contents, contents, files)


def _rewritten(
    contents: Mapping[str, bytes],
    configuration: Configuration,
    wanted: frozenset[str],
    factories: frozenset[str],
) -> Outcome:
    from .fixes.codemods import codemods
    from .fixes.files import Reader
    from .fixes.rewriting import rewrite

    reader = Reader(configuration.options)
    if factories:
        _refuse_unknown(factories, reader.files(contents).analysis)
    return rewrite(dict(contents), codemods(factories), reader, wanted)


def _refuse_unknown(factories: frozenset[str], analysis: Analysis) -> None:
    from .fixes.surroundings import makers

    known = {last_name(call.func) for _, call in makers(analysis)}
    for name in sorted(factories - known):
        if not known:
            raise CannotRunError(f"'{name}' makes no session, and neither does anything else here.")
        raise CannotRunError(
            unknown(name, known, what="a factory that makes a session here", plural="factories")
        )


# --- files


def _wanted(paths: Iterable[Path], configuration: Configuration) -> frozenset[str]:
    root, options = configuration.root, configuration.options
    names = {relative_name(each, root) for each in collect(paths, options.exclude, root=root)}
    return frozenset(names if options.tests else {each for each in names if not is_test(each)})


def _is_below(file: Path, paths: Iterable[Path]) -> bool:
    """Whether what *file* leads to lies below *paths*; a link may lead anywhere."""
    whole = file.resolve()
    return any(whole.is_relative_to(each.resolve()) for each in paths)


def _linked(names: Iterable[str], contents: Mapping[str, bytes]) -> list[Left]:
    """Return a line for each link to a file elsewhere that may work on sessions."""
    from .fixes.changes import Left

    reason = "it is a link to a file that is not below the PATHS"
    return [Left(each, 1, reason) for each in names if b"ession" in contents.get(each, b"")]


def _files(paths: tuple[Path, ...], configuration: Configuration) -> dict[str, Path]:
    root, options = configuration.root, configuration.options
    is_project = (root / "pyproject.toml").exists() or (root / ".git").exists()
    found = collect((*paths, *([root] if is_project else [])), options.exclude, root=root)
    named = {relative_name(each, root): each for each in found}
    return {name: each for name, each in named.items() if options.tests or not is_test(name)}


def _read(files: Mapping[str, Path]) -> tuple[dict[str, bytes], list[Left]]:
    """Return the bytes of the files that can be read, and a line for each of the others."""
    from .fixes.changes import Left

    contents: dict[str, bytes] = {}
    unread: list[Left] = []
    for name, path in files.items():
        try:
            contents[name] = read(path)
        except OSError as error:
            unread.append(Left(name, 1, f"it could not be read: {error.strerror or error}"))
    return contents, unread


def _write(new: Mapping[str, bytes], old: Mapping[str, bytes], files: Mapping[str, Path]) -> None:
    from .fixes.sources import Source, Unfit, refuse_changed, write

    sources = [Source(name, files[name], old[name]) for name in new]
    try:
        for each in sources:
            refuse_changed(each)
        for each in sources:
            write(each, new[each.name])
    except Unfit as error:
        raise CannotRunError(str(error)) from error


# --- words


def _report(outcome: Outcome, root: Path) -> None:
    for each in outcome.left:
        reason = " ".join(each.reason.split())  # a call that it names may go over several lines
        click.echo(
            f"{one_line(_shown(root, each.path))}:{each.line}: left alone: {reason}", err=True
        )
    changes, files = outcome.changes, len(outcome.contents)
    click.echo(
        f"{_count(changes, 'change')} in {_count(files, 'file')}, {len(outcome.left)} left alone.",
        err=True,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shown(root: Path, name: str) -> str:
    whole = root / name
    here = Path.cwd()
    return (whole.relative_to(here) if whole.is_relative_to(here) else whole).as_posix()


def _show(new: Mapping[str, bytes], old: Mapping[str, bytes]) -> None:
    for name in sorted(new):
        shown = one_line(name)
        for line in difflib.unified_diff(
            _lines(old[name]), _lines(new[name]), f"a/{shown}", f"b/{shown}", lineterm=""
        ):
            click.echo(printable(line))


def _lines(data: bytes) -> list[str]:
    text = decode(data).replace("\r\n", "\n")
    return text.removesuffix("\n").split("\n")
