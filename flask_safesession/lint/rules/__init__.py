"""The rules, one file each."""

from __future__ import annotations

from . import (
    txn001_not_checked,
    txn101_write_never_committed,
    txn102_service_ends_transaction,
    txn103_begin_on_owned_session,
    txn201_swallow_without_rollback,
    txn202_commit_without_owner,
    txn301_unclosed_session,
    txn302_global_session,
    txn401_session_crosses_thread_or_job,
    txn402_session_shared_by_tasks,
    txn403_worker_without_app_context,
    txn501_commit_in_loop,
    txn502_io_inside_transaction,
    txn503_enqueue_before_commit,
)
from .base import Rule

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (
    txn001_not_checked.RULE,
    txn101_write_never_committed.RULE,
    txn102_service_ends_transaction.RULE,
    txn103_begin_on_owned_session.RULE,
    txn201_swallow_without_rollback.RULE,
    txn202_commit_without_owner.RULE,
    txn301_unclosed_session.RULE,
    txn302_global_session.RULE,
    txn401_session_crosses_thread_or_job.RULE,
    txn402_session_shared_by_tasks.RULE,
    txn403_worker_without_app_context.RULE,
    txn501_commit_in_loop.RULE,
    txn502_io_inside_transaction.RULE,
    txn503_enqueue_before_commit.RULE,
)
