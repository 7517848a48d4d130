"""What a run learnt is found again by content, and a broken file of the cache is as good as none."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from flask_safesession.lint import cache
from flask_safesession.lint.cache import Store, digest, fingerprint, open_store
from flask_safesession.lint.findings import Finding

from .shell import finding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache is."""
    return tmp_path / cache.DIRECTORY


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    return tmp_path / "home" / "flask-safesession"


def _keep_fact(folder: Path) -> bytes | None:
    store = Store(folder)
    store.put("a", b"fact")
    store.close()
    return Store(folder).get("a")


def _kept(folder: Path, *findings: Finding) -> list[Finding] | None:
    Store(folder).keep_findings("name", "key", findings)
    return Store(folder).findings("name", "key")


def test_facts_come_back(folder: Path) -> None:
    """Another store of the same folder has them, in whatever bytes they are."""
    store = Store(folder)
    store.put("a", b"\0\xff")
    store.put("b", b"")
    store.close()
    other = Store(folder)
    assert (other.get("a"), other.get("b"), other.get("c")) == (b"\0\xff", b"", None)


def test_facts_of_other_files_stay(folder: Path) -> None:
    """A run over one directory does not forget the others."""
    for key in ("a", "b"):
        store = Store(folder)
        store.get("x")
        store.put(key, key.encode())
        store.close()
    assert Store(folder).get("a") == b"a"


def test_what_no_run_needs_goes_when_room_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack does not grow without end."""
    monkeypatch.setattr(cache, "_MOST_BYTES", 2)
    for key, used in (("a", ""), ("b", ""), ("c", "b")):
        store = Store(folder)
        store.get(used)
        store.put(key, key.encode())
        store.close()
    store = Store(folder)
    assert [store.get(key) for key in "abc"] == [None, b"b", b"c"]


def test_a_run_that_learnt_nothing_writes_nothing(folder: Path) -> None:
    """Reading leaves no trace."""
    store = Store(folder)
    store.get("a")
    store.close()
    assert not folder.exists()


def test_findings_come_back(folder: Path) -> None:
    """With their steps."""
    found = [finding(), finding(path="\udcff.py", steps=())]
    assert _kept(folder, *found) == found


def test_findings_of_another_content_do_not(folder: Path) -> None:
    """Nor those of another run."""
    _kept(folder, finding())
    assert Store(folder).findings("name", "other") is None
    assert Store(folder).findings("other", "key") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"safesession cache 1\n",
        pickle.dumps({"key": []}),
        b"safesession cache 1\n" + b"\0" * 16 + b'key[{"path": 1}]',
    ],
)
def test_a_foreign_file_is_ignored(folder: Path, content: bytes) -> None:
    """It is written anew."""
    folder.mkdir()
    for name in ("facts", "run-name"):
        (folder / name).write_bytes(content)
    assert Store(folder).get("key") is None
    assert Store(folder).findings("name", "key") is None
    assert _kept(folder, finding()) == [finding()]


@pytest.mark.parametrize("place", [0, 25, -1])
def test_a_flipped_bit_is_noticed(folder: Path, place: int) -> None:
    """In the mark, the checksum or the content."""
    _kept(folder, finding())
    content = bytearray((folder / "run-name").read_bytes())
    content[place] ^= 1
    (folder / "run-name").write_bytes(content)
    assert Store(folder).findings("name", "key") is None


def test_the_folder_is_not_for_version_control_nor_backups(folder: Path) -> None:
    """It says so itself."""
    _kept(folder)
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (
        (folder / "CACHEDIR.TAG")
        .read_text()
        .startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_only_the_last_runs_are_kept(folder: Path) -> None:
    """A folder that is checked file by file does not fill up."""
    store = Store(folder)
    for number in range(cache._KEPT_RUNS + 3):
        store.keep_findings(f"{number:03}", "key", [])
    assert len(list(folder.glob("run-*"))) == cache._KEPT_RUNS


def test_a_run_that_another_process_removed_is_no_problem(tmp_path: Path) -> None:
    """The oldest are looked for while others write."""
    assert cache._written(tmp_path / "gone") == 0.0


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "file").write_text("")
    assert _kept(tmp_path / "file" / "cache", finding()) is None


def test_a_project_has_its_cache_inside(tmp_path: Path, home: Path) -> None:
    """Other directories have it at the user's home, or nobody could check a package of somebody else."""
    project, repository, other = (tmp_path / each for each in ("p", "r", "o"))
    repository.joinpath(".git").mkdir(parents=True)
    project.mkdir()
    project.joinpath("pyproject.toml").write_text("")
    made = [open_store(each)._folder.parent for each in (project, repository, other)]
    assert made == [project, repository, home]


def test_the_user_has_a_cache_folder_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the home directory; where there is none, below what is checked."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert open_store(tmp_path / "o")._folder.is_relative_to(tmp_path / ".cache")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert open_store(tmp_path / "o")._folder == tmp_path / "o" / cache.DIRECTORY
    assert _keep_fact(tmp_path / "o") is None


def test_facts_are_trusted_only_under_the_users_own_key(folder: Path, home: Path) -> None:
    """They may be unpickled, and a pickle that somebody else left on a share would run as this user."""
    assert _keep_fact(folder) == b"fact"
    (home / "key").unlink()
    assert Store(folder).get("a") is None
    assert _keep_fact(folder) == b"fact"


def test_facts_of_another_checker_are_not_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source decides what is learnt from a file."""
    assert _keep_fact(folder) == b"fact"
    monkeypatch.setattr(cache, "fingerprint", lambda: "00" * 16)
    assert Store(folder).get("a") is None


def test_a_pickle_below_a_mere_checksum_is_not_handed_out(folder: Path) -> None:
    """Anybody can compute a checksum."""
    folder.mkdir()
    pack = cache._pack({"a": pickle.dumps(1)})
    sealed = [cache._MAGIC, cache._checksum(pack, b""), *pack]
    (folder / "facts").write_bytes(b"".join(sealed))
    assert Store(folder).get("a") is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions.")
def test_a_key_that_others_can_read_is_none(folder: Path, home: Path) -> None:
    """Nothing is sealed with it, and nothing believed."""
    assert _keep_fact(folder) == b"fact"
    (home / "key").chmod(0o644)
    assert Store(folder).get("a") is None
    assert _keep_fact(folder) is None


@pytest.mark.parametrize("size", [0, 31])
def test_a_key_that_is_not_whole_is_none(folder: Path, home: Path, size: int) -> None:
    """Another process may be writing it."""
    assert _keep_fact(folder) == b"fact"
    (home / "key").write_bytes(b"x" * size)
    assert _keep_fact(folder) is None


def test_without_a_place_for_the_key_facts_are_not_kept(folder: Path, tmp_path: Path) -> None:
    """Findings are: they are JSON."""
    (tmp_path / "home").write_text("")
    assert _keep_fact(folder) is None
    assert _kept(folder, finding()) == [finding()]


def test_borders_count() -> None:
    """The same bytes in other parts are another content."""
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"])


def test_another_python_is_another_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads another grammar."""
    here = fingerprint()
    monkeypatch.setattr(sys, "version_info", (4, 0))
    fingerprint.cache_clear()
    there = fingerprint()
    monkeypatch.undo()
    fingerprint.cache_clear()
    assert (there != here, fingerprint() == here) == (True, True)
