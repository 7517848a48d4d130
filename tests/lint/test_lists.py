"""The lists agree: a rule is one module, one test module and one page, all of one stem."""

from __future__ import annotations

import re
from pathlib import Path

from flask_safesession.lint.catalogue import COMMENTS, catalogue
from flask_safesession.lint.configuration import KEYS
from flask_safesession.lint.explain import stem
from flask_safesession.lint.rules import RULES

from .shell import ROOT

RULE_MODULES = ROOT / "flask_safesession" / "lint" / "rules"
PAGES = ROOT / "docs" / "reference" / "checker"

# The ids and slugs of the contract: users write them into comments and baselines.
CONTRACT = [
    "txn001-not-checked",
    "txn101-write-never-committed",
    "txn102-service-ends-transaction",
    "txn103-begin-on-owned-session",
    "txn201-swallow-without-rollback",
    "txn202-commit-without-owner",
    "txn301-unclosed-session",
    "txn302-global-session",
    "txn401-session-crosses-thread-or-job",
    "txn402-session-shared-by-tasks",
    "txn403-worker-without-app-context",
    "txn501-commit-in-loop",
    "txn502-io-inside-transaction",
    "txn503-enqueue-before-commit",
]


def _stems(folder: Path, pattern: str) -> list[str]:
    found = (path.stem.removeprefix("test_").replace("_", "-") for path in folder.glob(pattern))
    return sorted(found)


def test_the_ids_and_slugs_never_change() -> None:
    """They are those of the contract, in their order."""
    assert [stem(rule) for rule in RULES] == CONTRACT


def test_each_rule_has_one_module() -> None:
    """No module is left that no rule is in."""
    assert _stems(RULE_MODULES, "txn*.py") == CONTRACT


def test_each_rule_has_one_test_module() -> None:
    """The remark about comments is tested with the comments."""
    assert _stems(Path(__file__).parent, "test_txn*.py") == CONTRACT


def test_each_rule_has_one_page() -> None:
    """So has the remark about comments."""
    assert _stems(PAGES, "txn*.rst") == sorted([*CONTRACT, stem(COMMENTS)])


def test_each_page_is_in_the_index() -> None:
    """Once."""
    index = (PAGES / "index.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^   (txn\S+)$", index, re.MULTILINE)
    assert sorted(listed) == sorted(stem(rule) for rule in catalogue())


def test_each_page_has_the_same_parts() -> None:
    """What is wrong, how it looks, how it should, how to silence it, and where the rule comes from."""
    parts = ["Problem", "Bad", "Good", "Silence", "Source"]
    for rule in catalogue():
        text = (PAGES / f"{stem(rule)}.rst").read_text(encoding="utf-8")
        assert re.findall(r"^(\w+)\n-{3,}$", text, re.MULTILINE) == parts, rule.id
        assert re.search(rf"^{rule.id}: .+\n=+$", text, re.MULTILINE), rule.id


def test_each_example_is_found_by_its_own_rule() -> None:
    """The page runs the rule alone, and it finds something in ``bad.py`` only."""
    for rule in catalogue():
        text = (PAGES / f"{stem(rule)}.rst").read_text(encoding="utf-8")
        assert f"--select {rule.id} .\n   bad.py:" in text, rule.id


def test_each_setting_is_described() -> None:
    """The page about the settings has an entry for each key, and for no other."""
    text = (PAGES / "configuration.rst").read_text(encoding="utf-8")
    settings = text.partition("Settings\n---")[2].partition("Comments\n---")[0]
    terms = " ".join(re.findall(r"^(``.+``)$", settings, re.MULTILINE))
    assert sorted(re.findall(r"``([\w-]+)``", terms)) == sorted(KEYS)
