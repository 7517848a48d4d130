"""Flask-SafeSession: SQLAlchemy sessions that are safe wherever Flask code runs."""

from typing import TYPE_CHECKING

# The checker and `flask --help` are in this package too: nobody who runs them should wait for SQLAlchemy.
if TYPE_CHECKING:
    from . import errors
    from ._attempts import attempts
    from ._context import AppContextManager
    from ._core.faults import Fault, classify
    from ._core.options import Propagation
    from ._core.retry import RetryPolicy
    from ._core.scope import Scope
    from ._core.statistics import EngineStatistics, Holder, Statistics
    from ._extension import SafeSession
    from ._jobs.executor import AppContextExecutor, ShutdownReport
    from ._phases import PhaseResult, run_in_phases
    from ._saving import add_all_or_abort, safe_commit
    from ._session import (
        current_scope,
        on_commit,
        on_rollback,
        on_unknown,
        requires_transaction,
        session_manager,
    )
    from ._sharing import handoff
    from ._streaming import stream_with_session
    from ._transaction import non_transactional, transactional
else:
    from ._names import __dir__ as __dir__
    from ._names import __getattr__ as __getattr__

__all__ = [
    "AppContextExecutor",
    "AppContextManager",
    "EngineStatistics",
    "Fault",
    "Holder",
    "PhaseResult",
    "Propagation",
    "RetryPolicy",
    "SafeSession",
    "Scope",
    "ShutdownReport",
    "Statistics",
    "add_all_or_abort",
    "attempts",
    "classify",
    "current_scope",
    "errors",
    "handoff",
    "non_transactional",
    "on_commit",
    "on_rollback",
    "on_unknown",
    "requires_transaction",
    "run_in_phases",
    "safe_commit",
    "session_manager",
    "stream_with_session",
    "transactional",
]
