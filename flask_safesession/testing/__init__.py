"""Tests of database code, with any runner: isolation, hooks, injected faults, statements. pytest's fixtures use it."""

from ._cases import SafeSessionTestCase
from ._emptying import CommitIsolation
from ._faults import Faults
from ._hooks import CapturedHooks, captured_commit_hooks
from ._inline import inline_jobs
from ._isolation import RollbackIsolation
from ._leaks import LeakWatch
from ._recording import assert_statements, recorded_statements
from ._worker_databases import worker_database

__all__ = [
    "CapturedHooks",
    "CommitIsolation",
    "Faults",
    "LeakWatch",
    "RollbackIsolation",
    "SafeSessionTestCase",
    "assert_statements",
    "captured_commit_hooks",
    "inline_jobs",
    "recorded_statements",
    "worker_database",
]
