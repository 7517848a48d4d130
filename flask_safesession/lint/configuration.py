"""From ``[tool.safesession]`` in ``pyproject.toml`` to a frozen :class:`Configuration`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .catalogue import split_ids
from .findings import LEVELS, Level
from .options import Options
from .refusals import CannotRunError, unknown
from .selection import Selection

if sys.version_info < (3, 11):
    import tomli as tomllib
else:
    import tomllib

__all__ = ["KEYS", "Configuration", "load"]

_FILE = "pyproject.toml"
_OPTIONS = ("services", "owners", "wrappers", "sinks", "slow-calls", "exclude", "tests")


@dataclass(frozen=True)
class Configuration:
    """What a project says about its checks.

    Attributes:
        root: The directory that paths and globs are relative to.
        options: What changes the findings.
        selection: Which of them count.
    """

    root: Path
    options: Options = field(default_factory=Options)
    selection: Selection = field(default_factory=Selection)


def load(path: Path) -> Configuration:
    """Read the nearest ``pyproject.toml`` at or above *path* that has a table ``[tool.safesession]``.

    Raises:
        CannotRunError: If that file cannot be read, or a key or a value in it is not understood.
    """
    start = _absolute(path)
    for file in _candidates(start):
        table = _table(file)
        if table is not None:
            return _configuration(file, table)
    return Configuration(_fallback_root(start))


def _absolute(path: Path) -> Path:
    absolute = path.absolute()
    return absolute if absolute.is_dir() else absolute.parent


def _candidates(start: Path) -> Iterator[Path]:
    for directory in (start, *start.parents):
        if (file := directory / _FILE).is_file():
            yield file


def _fallback_root(start: Path) -> Path:
    """The nearest project without settings, else the working directory where it holds *start*."""
    for directory in (start, *start.parents):
        if (directory / _FILE).is_file() or (directory / ".git").exists():
            return directory
    here = Path.cwd()
    return here if start.is_relative_to(here) else start


def _table(file: Path) -> Mapping[str, Any] | None:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotRunError(f"'{file}' could not be read: {error}") from error
    tool = document.get("tool", {})
    table = tool.get("safesession") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise CannotRunError(f"{file}: 'tool.safesession' is not a table.")
    return table


def _configuration(file: Path, table: Mapping[str, Any]) -> Configuration:
    try:
        values = dict(_checked(table))
    except CannotRunError as error:
        raise CannotRunError(f"{file}: {error}") from error
    options = {key.replace("-", "_"): value for key, value in values.items() if key in _OPTIONS}
    chosen = {_SELECTION[key]: value for key, value in values.items() if key in _SELECTION}
    return Configuration(file.parent, Options(**options), Selection(**chosen))


def _checked(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for written, value in table.items():
        key = written.replace("_", "-")
        if key not in KEYS:
            what = "a key of [tool.safesession]"
            raise CannotRunError(unknown(written, KEYS, what=what, plural="keys"))
        yield key, KEYS[key](written, value)


def _strings(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise CannotRunError(f"'{key}' is {value!r}. Write a list of strings.")


def _ids(key: str, value: object) -> tuple[str, ...]:
    return split_ids(_strings(key, value), f"'{key}'")


def _flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise CannotRunError(f"'{key}' is {value!r}. Write 'true' or 'false'.")


def _level(key: str, value: object) -> Level:
    if value in LEVELS:
        return value
    allowed = ", ".join(f'"{each}"' for each in LEVELS)
    raise CannotRunError(f"'{key}' is {value!r}. Write one of {allowed}.")


def _per_path(key: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise CannotRunError(f"'{key}' is {value!r}. Write a table from globs to lists of rules.")
    return tuple((glob, _ids(f"{key}.{glob}", ids)) for glob, ids in value.items())


KEYS: Mapping[str, Callable[[str, object], Any]] = {
    "services": _strings,
    "owners": _strings,
    "wrappers": _strings,
    "sinks": _strings,
    "slow-calls": _strings,
    "exclude": _strings,
    "tests": _flag,
    "select": _ids,
    "ignore": _ids,
    "level": _level,
    "per-path-ignores": _per_path,
}

_SELECTION = {
    "select": "select",
    "ignore": "ignore",
    "level": "level",
    "per-path-ignores": "per_path",
}
