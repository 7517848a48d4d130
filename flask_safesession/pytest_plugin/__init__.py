"""The pytest plugin: isolation of tests that use the database, and the check for what they leave behind.

It is loaded by each run of pytest in an environment that has the extension, so it imports neither Flask nor SQLAlchemy,
and does nothing to a test that does not ask for it.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec

import pytest

from . import _dropin, _fixtures
from ._marks import check, place_guard
from ._settings import MOCKED, check_settings

_OTHER = "pytest_flask_sqlalchemy"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of the plugin, and those of the plugin that it stands in for."""
    parser.addini(
        "safesession_db_access",
        "'explicit': a test that uses the app and touches the database has to ask for a fixture or mark "
        "('free': nobody has to)",
        default="free",
    )
    parser.addini(
        "safesession_leaks",
        "what happens when a test leaves a scope, connection, context or thread behind: 'warn', 'error' or 'off'",
        default="warn",
    )
    parser.addini(
        "safesession_database",
        "URL of the server on which 'safesession_database_url' makes a database for each process; the environment's "
        "SAFESESSION_TEST_DATABASE comes first",
        default="sqlite://",
    )
    parser.addini(
        "safesession_template",
        "a database of that PostgreSQL server of which each of these is a copy",
        default="",
    )
    if find_spec(_OTHER) is None:
        for kind in MOCKED:
            parser.addini(
                f"mocked-{kind}", f"import paths of {kind} that stand for those of the test", "args"
            )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark and the fixtures known."""
    config.addinivalue_line(
        "markers",
        "safesession(isolation, reset_sequences=False): roll the test back ('rollback'), or let it commit and empty "
        "the tables that it has written to ('commit')",
    )
    config.pluginmanager.register(_fixtures, "safesession-fixtures")
    if find_spec(_OTHER) is None:
        config.pluginmanager.register(_dropin, "safesession-dropin")
    check_settings(config, has_mocked=find_spec(_OTHER) is None)
    if config.getini("safesession_db_access") == "explicit":
        from ._explicit import ExplicitAccess

        config.pluginmanager.register(ExplicitAccess(), "safesession-explicit")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse contradictory marks where the test is found."""
    report = yield
    items = [each for each in report.result or () if isinstance(each, pytest.Item)]
    problems = list(filter(None, map(check, items)))
    if not problems:
        return report
    return pytest.CollectReport(report.nodeid, "failed", "\n".join(problems), [])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the guard of the plugin before everything that a test does with its app."""
    for item in items:
        place_guard(item)
