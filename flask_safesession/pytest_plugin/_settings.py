"""What is wrong with the settings in the ini file, told once and before a test is collected; nothing is imported."""

from __future__ import annotations

import os
import re

import pytest

__all__ = ["MOCKED", "check_settings"]

MOCKED = ("engines", "sessions", "sessionmakers")
_ALLOWED = {
    "safesession_db_access": ("free", "explicit"),
    "safesession_leaks": ("warn", "error", "off"),
}
# Compiled when there is something to compare them with.
_SERVER = r"(?s)(postgresql|mysql|mariadb)(\+\w+)?://[^?]*/[^/?]+(\?.*)?"
_PATH = r"\w+(\.\w+)*[.:]\w+(\.\w+)*"


def check_settings(config: pytest.Config, *, has_mocked: bool) -> None:
    """Refuse what could never be meant.

    Args:
        config: What the ini file says.
        has_mocked: The settings of pytest-flask-sqlalchemy are this plugin's.

    Raises:
        pytest.UsageError: With the setting and what can be given.
    """
    for name, allowed in _ALLOWED.items():
        if config.getini(name) not in allowed:
            raise pytest.UsageError(
                f"'{name} = {config.getini(name)}' is not known. Give one of {', '.join(map(repr, allowed))}."
            )
    _check_database("SAFESESSION_TEST_DATABASE", os.environ.get("SAFESESSION_TEST_DATABASE", ""))
    _check_database("safesession_database", config.getini("safesession_database"))
    for kind in MOCKED if has_mocked else ():
        for path in config.getini(f"mocked-{kind}"):
            if re.fullmatch(_PATH, path) is None:
                raise pytest.UsageError(
                    f"The setting 'mocked-{kind}' names '{path}', which is no import path. Give one such as "
                    "'shop.db.session', or remove it; as a rule none of these settings is needed."
                )


def _check_database(name: str, url: str) -> None:
    """The URL itself is not shown: there may be a password in it."""
    if url and not url.startswith("sqlite") and re.fullmatch(_SERVER, url) is None:
        raise pytest.UsageError(
            f"'{name}' is no URL from which databases for tests can be made. Give one of SQLite, PostgreSQL, "
            "MariaDB or MySQL, with a database name at its end."
        )
