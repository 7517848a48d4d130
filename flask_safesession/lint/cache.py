"""What a run learnt, kept by content for the next one.

The folder may lie on a share, come out of a CI cache or be written by what somebody else runs, and nothing in it may
become code. So the findings of a run are JSON; and what was learnt of single files, opaque bytes that the engine may
well unpickle, is handed out only if it was sealed with a key that this user keeps at home, where others cannot read it.
A file that is broken, foreign or of another version is as good as none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path

from .findings import Finding, Step
from .storage import write_atomically

__all__ = ["DIRECTORY", "Store", "digest", "fingerprint", "open_store"]

DIRECTORY = ".safesession_cache"

_MAGIC = b"safesession cache 1\n"
_DIGEST_SIZE = 16
_KEPT_RUNS = 20
_SECRET_SIZE = 32
_MOST_BYTES = 64 * 1024 * 1024
Part = bytes | memoryview

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# See https://bford.info/cachedir/\n"


def digest(parts: Iterable[bytes]) -> str:
    """Return a hash of *parts* in which their borders count."""
    whole = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()


@cache
def fingerprint() -> str:
    """A hash of what decides the findings besides the checked code and the options: the checker and its parsers."""
    here = Path(__file__).parent
    sources = (path.read_bytes() for path in sorted(here.rglob("*.py")))
    parsers = f"{sys.version_info[:2]} {find_spec('libcst') is not None}"
    return digest([parsers.encode(), *sources])


def open_store(root: Path) -> Store:
    """The store of the project at *root*: inside it, or in the user's cache folder where *root* is no project.

    All that are no projects share one folder: its keys are hashes of contents and of paths below the root.
    """
    if (root / "pyproject.toml").exists() or (root / ".git").exists():
        return Store(root / DIRECTORY)
    home = _at_home()
    return Store(root / DIRECTORY if home is None else home / "elsewhere")


def _at_home() -> Path | None:
    """The user's own folder for this package; None where the user has no home, as in some containers."""
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    try:
        caches = Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None
    return caches / "flask-safesession"


def _secret() -> bytes | None:
    """The key of this user and this checker; None where it cannot be kept, or others could know it."""
    home = _at_home()
    if home is None:
        return None
    file = home / "key"
    try:
        _make_secret(file)
        is_private = sys.platform == "win32" or file.stat().st_mode & 0o077 == 0
        secret = file.read_bytes()
    except OSError:
        return None
    if not is_private or len(secret) != _SECRET_SIZE:
        return None
    # Another version of the checker learns other things from the same file.
    return secret + bytes.fromhex(fingerprint())


def _make_secret(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as stream:
        stream.write(secrets.token_bytes(_SECRET_SIZE))


class Store:
    """The files of one cache folder.

    ``get`` and ``put`` are what :func:`flask_safesession.lint.checker.check` asks for; what it learnt about single
    files lies in one pack, read at the first ``get`` and written by :meth:`close`. The findings of whole runs lie
    beside it.

    Args:
        folder: Made when something is written; where that fails, nothing is kept and nothing is said.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._old: Mapping[str, memoryview] | None = None
        self._used: dict[str, bytes | memoryview] = {}
        self._is_new = False

    def get(self, key: str) -> bytes | None:
        """Return what was put under *key*, or None."""
        if self._old is None:
            self._old = {} if self._key is None else self._facts(self._key)
        value = self._old.get(key)
        if value is None:
            return None
        self._used[key] = value
        return bytes(value)

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* under *key*."""
        self._used[key] = value
        self._is_new = True

    def findings(self, name: str, key: str) -> list[Finding] | None:
        """Return the findings that were kept as *name*, if they belong to *key*."""
        payload = _unseal(self._folder / f"run-{name}")
        if payload is None or payload[: len(key)] != key.encode():
            return None
        return [_finding(each) for each in json.loads(bytes(payload[len(key) :]))]

    def keep_findings(self, name: str, key: str, findings: Iterable[Finding]) -> None:
        """Keep *findings* as *name*; the oldest of other names make room."""
        payload = key + json.dumps([asdict(each) for each in findings])
        self._write(f"run-{name}", [payload.encode()])
        self._remove_old_runs()

    def close(self) -> None:
        """Write what was learnt; what this run had no use for stays as long as there is room."""
        if not self._is_new or self._key is None:
            return
        entries = {**(self._old or {}), **self._used}
        if sum(map(len, entries.values())) > _MOST_BYTES:
            entries = self._used
        self._write("facts", _pack(entries), self._key)

    @cached_property
    def _key(self) -> bytes | None:
        return _secret()

    def _facts(self, key: bytes) -> Mapping[str, memoryview]:
        return _unpack(_unseal(self._folder / "facts", key))

    def _write(self, name: str, payload: Sequence[Part], key: bytes = b"") -> None:
        try:
            self._prepare()
            write_atomically(self._folder / name, _MAGIC, _checksum(payload, key), *payload)
        except OSError:
            return  # a read-only checkout is checked as well, only slower

    def _prepare(self) -> None:
        if self._folder.is_dir():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / ".gitignore").write_text("*\n", encoding="utf-8")
        (self._folder / "CACHEDIR.TAG").write_text(_TAG, encoding="utf-8")

    def _remove_old_runs(self) -> None:
        runs = sorted(self._folder.glob("run-*"), key=_written, reverse=True)
        for path in runs[_KEPT_RUNS:]:
            path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # another process has removed it


def _checksum(payload: Iterable[Part], key: bytes) -> bytes:
    whole = hashlib.blake2b(digest_size=_DIGEST_SIZE, key=key)
    for part in payload:
        whole.update(part)
    return whole.digest()


def _unseal(path: Path, key: bytes = b"") -> memoryview | None:
    """The payload of *path*; None where it is missing, broken or somebody else's."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST_SIZE
    head, payload = bytes(content[:start]), content[start:]
    is_whole = hmac.compare_digest(head, _MAGIC + _checksum([payload], key))
    return payload if is_whole else None


def _pack(entries: Mapping[str, Part]) -> list[Part]:
    index = json.dumps({key: len(value) for key, value in entries.items()}).encode()
    return [len(index).to_bytes(8, "big"), index, *entries.values()]


def _unpack(payload: memoryview | None) -> Mapping[str, memoryview]:
    """The entries of a pack, none of which is copied: together they may be larger than all else in the process."""
    if payload is None:
        return {}
    start = 8 + int.from_bytes(payload[:8], "big")
    entries = {}
    for key, size in json.loads(bytes(payload[8:start])).items():
        entries[key] = payload[start : start + size]
        start += size
    return entries


def _finding(fields: dict[str, object]) -> Finding:
    steps = fields.pop("steps")
    return Finding(**fields, steps=tuple(Step(**step) for step in steps))  # type: ignore[arg-type, attr-defined]
