"""Where the public names live, so that each is imported when it is first used."""

from __future__ import annotations

import sys
from importlib import import_module

_PACKAGE = "flask_safesession"
_HOMES = {
    "AppContextExecutor": "_jobs.executor",
    "AppContextManager": "_context",
    "EngineStatistics": "_core.statistics",
    "Fault": "_core.faults",
    "Holder": "_core.statistics",
    "PhaseResult": "_phases",
    "Propagation": "_core.options",
    "RetryPolicy": "_core.retry",
    "SafeSession": "_extension",
    "Scope": "_core.scope",
    "ShutdownReport": "_jobs.executor",
    "Statistics": "_core.statistics",
    "add_all_or_abort": "_saving",
    "attempts": "_attempts",
    "classify": "_core.faults",
    "current_scope": "_session",
    "errors": "errors",
    "handoff": "_sharing",
    "non_transactional": "_transaction",
    "on_commit": "_session",
    "on_rollback": "_session",
    "on_unknown": "_session",
    "requires_transaction": "_session",
    "run_in_phases": "_phases",
    "safe_commit": "_saving",
    "session_manager": "_session",
    "stream_with_session": "_streaming",
    "transactional": "_transaction",
}


def __getattr__(name: str) -> object:
    """Return a public name of the package, and keep it there.

    Raises:
        AttributeError: If there is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module '{_PACKAGE}' has no attribute '{name}'")
    home = import_module(f"{_PACKAGE}.{_HOMES[name]}")
    value = home if name == "errors" else getattr(home, name)
    setattr(sys.modules[_PACKAGE], name, value)
    return value


def __dir__() -> list[str]:
    """Return what ``dir()`` shows of the package."""
    return sorted({*vars(sys.modules[_PACKAGE]), *_HOMES})
