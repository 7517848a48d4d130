"""The reference names what there is, and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re

import pytest

import flask_safesession
from flask_safesession import Propagation, SafeSession, errors
from flask_safesession._config import PREFIX, Settings

from .faults_page import PATH, page
from .pages import DOCS, Page, pages

ERRORS = DOCS / "reference" / "errors"


def _classes() -> dict[str, set[str]]:
    """The names of the classes by their code."""
    codes: dict[str, set[str]] = {}
    for name in errors.__all__:
        codes.setdefault(getattr(errors, name).code, set()).add(name)
    return codes


def _pages() -> list[Page]:
    return [page for page in pages() if page.path.parent == ERRORS and page.path.stem != "index"]


def _reference(name: str) -> str:
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def test_each_code_has_a_page_and_each_page_a_code() -> None:
    """The pages of the errors and the codes of the classes are the same list."""
    assert {page.path.stem for page in _pages()} == set(_classes())


@pytest.mark.parametrize("page", _pages(), ids=lambda page: page.path.stem)
def test_an_error_page(page: Page) -> None:
    """The page of a code documents each class that has it, and says what happened and what to do."""
    documented = set(re.findall(r"autoexception:: flask_safesession\.errors\.(\w+)", page.text))
    assert (page.field("code"), documented) == (page.path.stem, _classes()[page.path.stem])
    example = "$ python" if page.field("run") == "as files" else ">>> "
    parts = ("What happened\n---", example, "What to do\n---")
    assert [part for part in parts if part not in page.text] == []


def test_each_error_page_is_in_the_index() -> None:
    """The index lists every page once."""
    listed = re.findall(
        r"^   ([a-z-]+)$", (ERRORS / "index.rst").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(page.path.stem for page in _pages())


def test_every_error_class_is_public() -> None:
    """No class of the module is left out of ``__all__``."""
    classes = inspect.getmembers(errors, inspect.isclass)
    own = {name for name, each in classes if each.__module__ == errors.__name__}
    assert own == set(errors.__all__)


def test_each_setting_is_described() -> None:
    """The configuration page has an entry for each setting, and for no other name."""
    described = re.findall(rf"^``{PREFIX}(\w+)``$", _reference("configuration.rst"), re.MULTILINE)
    assert {name.lower() for name in described} == {
        field.name for field in dataclasses.fields(Settings)
    }


def test_each_default_is_described() -> None:
    """The page says the default of each setting."""
    text = _reference("configuration.rst")
    entries = re.findall(
        rf"^``{PREFIX}(\w+)``\n(?:.+\n|\n)*?   Default ``(.+?)``", text, re.MULTILINE
    )
    described = {name.lower(): default.replace('"', "'") for name, default in entries}
    assert described == {key: repr(value) for key, value in vars(Settings()).items()}


def test_the_propagation_table_has_each_value() -> None:
    """The table has a row for each propagation, in the order of the enumeration."""
    rows = re.findall(r"^   \* - ``(\w+)``$", _reference("propagation.table"), re.MULTILINE)
    assert rows == [each.value for each in Propagation]


def test_the_api_page_has_each_public_name() -> None:
    """The page documents what can be imported, and nothing else."""
    documented = re.findall(r"\.\. auto(?:class|function):: (\w+)(?!\.)\b", _reference("api.rst"))
    assert sorted([*documented, "errors"]) == sorted(flask_safesession.__all__)


@pytest.mark.parametrize("name", ["celery"])
def test_the_api_page_has_each_name_of_an_integration(name: str) -> None:
    """So are the integrations, by their full names."""
    module = importlib.import_module(f"flask_safesession.contrib.{name}")
    documented = re.findall(
        rf"\.\. auto(?:class|function):: {re.escape(module.__name__)}\.(\w+)", _reference("api.rst")
    )
    assert sorted(documented) == sorted(module.__all__)


def test_the_api_page_has_each_method_of_the_extension() -> None:
    """So are the methods of ``SafeSession``."""
    listed = re.search(r"autoclass:: SafeSession\n   :members: ((?:.+\n)+)", _reference("api.rst"))
    methods = [
        name for name, _ in inspect.getmembers(SafeSession, callable) if not name.startswith("_")
    ]
    assert listed is not None
    assert sorted(re.split(r",\s*", listed.group(1).strip())) == sorted(methods)


def test_the_page_of_the_faults_is_the_table_of_the_code() -> None:
    """It is made from it; ``python -m tests.docs.faults_page`` makes it again."""
    assert PATH.read_text(encoding="utf-8") == page()
