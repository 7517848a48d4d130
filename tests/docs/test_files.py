"""Pages whose blocks are files and commands: they are written into an empty folder and run there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

from .pages import EXAMPLES, ROOT, Page, pages

pytestmark = pytest.mark.programs

# What a reader runs in a shell and no test does: installing, and the server with its clients.
_NOT_RUN = re.compile(r"mkdir|pip|python -m venv|curl|flask --app \w+ run")


def _cases() -> list[Page]:
    return [page for page in pages() if page.field("run") == "as files"]


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


# What changes the output from run to run, and from one version of a plugin to the next.
_QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:anyio")


def _run(command: str, folder: Path) -> str:
    words = shlex.split(command)
    if words[0] == "flask":
        words[:1] = ["python", "-m", "flask"]
    words[0] = sys.executable
    path = os.pathsep.join(map(str, (ROOT, folder, EXAMPLES)))
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SAFE"))
    }
    result = subprocess.run(
        [*words, *(_QUIET if "pytest" in words else ())],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / ".cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr


@pytest.mark.parametrize("page", _cases(), ids=lambda page: page.name)
def test_a_page_of_files(page: Page, tmp_path: Path) -> None:
    """The files of a page make a program, whose commands print what the page says."""
    checker = OutputChecker()
    for block in page.blocks():
        if block.language == "python":
            path = tmp_path / block.caption
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        for command, output in _commands(block.text) if block.language == "console" else ():
            if _NOT_RUN.search(command):
                continue
            printed = _run(command, tmp_path)
            wanted = output.replace("\n...\n", "\n...")
            matches = checker.check_output(wanted, printed, ELLIPSIS | NORMALIZE_WHITESPACE)
            assert matches, f"$ {command}\n{printed}"


def test_the_tutorial_answers_as_it_says(tmp_path: Path) -> None:
    """What ``curl`` shows in the tutorial is what the views of the tutorial answer."""
    tutorial = next(page for page in _cases() if page.name == "tutorial")
    for block in tutorial.blocks():
        if block.caption.startswith("app/"):
            (tmp_path / "app").mkdir(exist_ok=True)
            (tmp_path / block.caption).write_text(block.text, encoding="utf-8")
    calls = [
        (shlex.split(command), output.strip())
        for block in tutorial.blocks()
        if block.language == "console"
        for command, output in _commands(block.text)
        if command.startswith("curl")
    ]
    (tmp_path / "client.py").write_text(_CLIENT, encoding="utf-8")
    _run("flask --app app set-up", tmp_path)
    printed = [
        _run(shlex.join(["python", "client.py", *words[1:]]), tmp_path) for words, _ in calls
    ]
    assert [each.splitlines()[0] for each in printed] == [output for _, output in calls]


_CLIENT = """
import json, sys
from app import create_app

path = sys.argv[1].removeprefix("localhost:5000")
client = create_app().test_client()
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
headers = [options["-H"].split(": ")] if "-H" in options else []
post = lambda path: client.post(path, data=options["-d"], headers=headers)
reply = post(path) if "-d" in options else client.get(path)
print(json.dumps(reply.json, separators=(",", ":")))
"""
