"""A pytest plugin that gives each app of a foreign test suite the extension, as its author would.

It is loaded with ``-p compat_wiring`` in the suite's own environment, which knows nothing of the
rest of this directory.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask_safesession import SafeSession
from flask_safesession.errors import SafeSessionWarning

if TYPE_CHECKING:
    import warnings

    import pytest
    from flask import Flask

Method = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    """Patch the ``init_app`` of what the suite's apps use.

    The suites turn every warning into an error. The extension's own stay warnings and are listed:
    they are what it promises to say about a test that, for one, leaves changes uncommitted.
    """
    own = f"{SafeSessionWarning.__module__}.{SafeSessionWarning.__qualname__}"
    config.addinivalue_line("filterwarnings", f"always::{own}")
    wiring = Wiring()
    config.pluginmanager.register(wiring)
    _patch("flask_sqlalchemy", "SQLAlchemy", wiring.after)
    _patch("flask_sqlalchemy_lite", "SQLAlchemy", wiring.after)


def _patch(module: str, name: str, wire: Callable[[str, Method], Method]) -> None:
    try:
        owner: Any = getattr(importlib.import_module(module), name)
    except ImportError:
        return
    owner.init_app = wire(module, owner.init_app)


class Wiring:
    """Wires apps and counts them, so that a run that wired none cannot pass for one that did."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.warnings: dict[str, str] = {}

    def install(self, kind: str, app: Flask, db: Any) -> None:
        """Do what the app's author would: one ``init_app`` for each app."""
        if "safesession" in app.extensions:
            self.counts["app was wired before"] += 1
            return
        SafeSession().init_app(app, db)
        if "safesession" not in app.extensions:
            raise RuntimeError("SafeSession().init_app() left no app.extensions['safesession'].")
        self.counts[kind] += 1

    def after(self, kind: str, original: Method) -> Method:
        """Wire the app right after ``db.init_app(app)``."""

        @functools.wraps(original)
        def init_app(db: Any, app: Flask) -> None:
            original(db, app)
            self.install(kind, app, db)

        return init_app

    def made(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Wire the app of a plain scoped session as soon as its datastore is made."""

        @functools.wraps(original)
        def setup(app: Flask, *args: Any, **options: Any) -> Any:
            datastore, tear_down = original(app, *args, **options)
            self.install("scoped_session", app, datastore.db.session)
            return datastore, tear_down

        return setup

    def pytest_plugin_registered(self, plugin: Any) -> None:
        """Find the function of Flask-Security's conftest that makes a plain scoped session.

        Its own ``Security.init_app`` would be the simpler place, but another frame on the stack
        there moves the lines of its warnings, which the suite filters by module.
        """
        if setup := getattr(plugin, "sqlalchemy_session_setup", None):
            plugin.sqlalchemy_session_setup = self.made(setup)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Keep what the extension said during a test."""
        if issubclass(warning_message.category, SafeSessionWarning):
            said = f"{warning_message.category.__name__}: {warning_message.message}"
            self.warnings[nodeid] = said

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts, and leave all notes for the process that compares the runs."""
        terminalreporter.write_line(f"safesession wired: {dict(self.counts)}")
        if target := os.environ.get("SAFESESSION_COMPAT_NOTES"):
            Path(target).write_text(json.dumps({"apps": self.counts, "warnings": self.warnings}))
