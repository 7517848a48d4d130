"""Download a suite's source distribution and give it a virtual environment of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .suites import Suite


class PreparationError(Exception):
    """A suite could not be downloaded or installed."""


@dataclass(frozen=True)
class Environment:
    """An unpacked source distribution and the interpreter that runs its tests."""

    source: Path
    python: Path


def prepare(suite: Suite, cache: Path) -> Environment:
    """Return the environment of *suite*, building what *cache* does not hold yet."""
    home = cache / suite.name
    home.mkdir(parents=True, exist_ok=True)
    python = home / "venv" / "bin" / "python"
    stamp = home / "venv" / "installed"
    wanted = hashlib.sha256(f"{interpreter(suite)} {suite!r}".encode()).hexdigest()
    fresh = stamp.is_file() and stamp.read_text() == wanted
    if not fresh:
        output_of(interpreter(suite), "-m", "venv", "--clear", home / "venv")
        output_of(python, "-m", "pip", "install", "-q", "--upgrade", "pip")
    environment = Environment(_source(suite, home, python), python)
    if not fresh:
        _install(suite, environment)
        stamp.write_text(wanted)
    return environment


def build_package(project: Path, target: Path) -> Path:
    """Install the extension alone into *target*, a directory for ``PYTHONPATH``."""
    shutil.rmtree(target, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps")
    output_of(*pip, "--target", target, project)
    return target


def interpreter(suite: Suite) -> str:
    """Return a Python that is new enough for *suite*."""
    if sys.version_info >= suite.minimum_python:
        return sys.executable
    for minor in range(13, suite.minimum_python[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and _starts(found):
            return found
    wanted = ".".join(map(str, suite.minimum_python))
    raise PreparationError(f"{suite.name} needs Python {wanted}; run this with a newer one.")


def _starts(python: str) -> bool:
    """Tell whether *python* runs; pyenv leaves names on the path that do not."""
    try:
        output_of(python, "-c", "pass")
    except PreparationError:
        return False
    return True


def output_of(*command: str | Path) -> str:
    """Run *command* and return what it printed; a failing one is a `PreparationError`."""
    line = [str(part) for part in command]
    # The parts are this directory's own, never a user's text.
    done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PreparationError(f"`{' '.join(line)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _source(suite: Suite, home: Path, python: Path) -> Path:
    if not (found := sorted(home.glob("*.tar.gz"))):
        download = (python, "-m", "pip", "download", "-q", "--no-deps", "-d", home)
        output_of(*download, "--no-binary", suite.distribution, suite.requirement)
        found = sorted(home.glob("*.tar.gz"))
    if not found:
        raise PreparationError(f"pip downloaded no source distribution of {suite.requirement}.")
    return _unpacked(found[-1], home / "source")


def _unpacked(archive: Path, target: Path) -> Path:
    root = target / archive.name.removesuffix(".tar.gz")
    if not root.is_dir():
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
    return root


def _install(suite: Suite, environment: Environment) -> None:
    requirements = [part.format(source=environment.source) for part in suite.install]
    output_of(environment.python, "-m", "pip", "install", "-q", *requirements)
    if suite.compile_translations:
        pybabel = environment.python.with_name("pybabel")
        compile_all = (pybabel, "-q", "compile", "--domain", "flask_security", "-d")
        for folder in ("flask_security/translations", "tests/translations"):
            output_of(*compile_all, environment.source / folder)
