"""``[tool.safesession]`` is found, read and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint.configuration import KEYS, Configuration, load
from flask_safesession.lint.options import Options
from flask_safesession.lint.refusals import CannotRunError
from flask_safesession.lint.selection import Selection

FULL = """\
[tool.safesession]
services = ["app/services/*"]
owners = ["app.db.unit_of_work"]
wrappers = ["database.commit"]
sinks = ["jobs.push"]
slow-calls = ["app.gateway.*"]
exclude = ["app/legacy/*"]
tests = true
select = ["TXN3,TXN5", "txn001"]
ignore = ["TXN502"]
level = "note"

[tool.safesession.per-path-ignores]
"app/old/*" = ["TXN501"]
"""


def _load(root: Path, text: str) -> Configuration:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return load(root)


def test_every_key(tmp_path: Path) -> None:
    """Each has its place in the options or the selection."""
    configuration = _load(tmp_path, FULL)
    assert configuration.root == tmp_path
    assert configuration.options == Options(
        services=("app/services/*",),
        owners=("app.db.unit_of_work",),
        wrappers=("database.commit",),
        sinks=("jobs.push",),
        slow_calls=("app.gateway.*",),
        exclude=("app/legacy/*",),
        tests=True,
    )
    assert configuration.selection == Selection(
        select=("TXN3", "TXN5", "TXN001"),
        ignore=("TXN502",),
        per_path=(("app/old/*", ("TXN501",)),),
        level="note",
    )
    assert all(key in FULL for key in KEYS)


def test_underscores_are_understood(tmp_path: Path) -> None:
    """As other tools spell their keys."""
    configuration = _load(tmp_path, '[tool.safesession]\nslow_calls = ["a"]\n')
    assert configuration.options.slow_calls == ("a",)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("service = []", "'service' is not a key of [tool.safesession]. Did you mean 'services'?"),
        (
            "zebra = 1",
            (
                "'zebra' is not a key of [tool.safesession]. The keys are 'exclude', 'ignore', 'level', 'owners', "
                "'per-path-ignores', 'select', 'services', 'sinks', 'slow-calls', 'tests', 'wrappers'."
            ),
        ),
        ('services = "app"', "'services' is 'app'. Write a list of strings."),
        ("services = [1]", "'services' is [1]. Write a list of strings."),
        ('tests = "yes"', "'tests' is 'yes'. Write 'true' or 'false'."),
        ('level = "all"', '\'level\' is \'all\'. Write one of "error", "warning", "note".'),
        ('select = ["TXN9"]', "'select': 'TXN9' is not a rule or the beginning of one."),
        (
            "per-path-ignores = []",
            "'per-path-ignores' is []. Write a table from globs to lists of rules.",
        ),
        (
            'per-path-ignores = {"a/*" = ["E501"]}',
            "'per-path-ignores.a/*': 'E501' is not a rule or the beginning of one.",
        ),
    ],
)
def test_a_mistake_is_refused(tmp_path: Path, line: str, error: str) -> None:
    """With the file, the key, and what to write."""
    with pytest.raises(CannotRunError) as raised:
        _load(tmp_path, f"[tool.safesession]\n{line}\n")
    assert str(raised.value).startswith(f"{tmp_path / 'pyproject.toml'}: {error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[tool", "could not be read"),
        ("[tool]\nsafesession = 1", "'tool.safesession' is not a table"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, error: str) -> None:
    """Nobody would know that the settings are not heard."""
    with pytest.raises(CannotRunError, match=error):
        _load(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    (tmp_path / "pyproject.toml").write_bytes(b"# \xff")
    with pytest.raises(CannotRunError, match="could not be read"):
        load(tmp_path)


def test_the_nearest_file_with_settings_counts(tmp_path: Path) -> None:
    """Above a file that is given, past a project that says nothing."""
    module = tmp_path / "packages" / "shop" / "views.py"
    module.parent.mkdir(parents=True)
    module.touch()
    (tmp_path / "packages" / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (tmp_path / "pyproject.toml").write_text("[tool.safesession]\nlevel = 'error'\n")
    configuration = load(module)
    assert (configuration.root, configuration.selection.level) == (tmp_path, "error")


@pytest.mark.parametrize("marker", ["pyproject.toml", ".git"])
def test_without_settings_the_project_is_the_root(tmp_path: Path, marker: str) -> None:
    """Paths are relative to it."""
    (tmp_path / marker).mkdir() if marker == ".git" else (tmp_path / marker).write_text("tool = 1")
    (tmp_path / "app").mkdir()
    assert load(tmp_path / "app") == Configuration(tmp_path)


def test_without_a_project_the_working_directory_is_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it holds the path, else the path itself."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "app").mkdir(parents=True)
    there.mkdir()
    monkeypatch.chdir(here)
    assert load(Path("app")).root == here
    assert load(there).root == there
