"""What synchronous scopes promise, asynchronous ones promise too: each test has a twin of its name, or a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent

BEFORE: Final = "It is refused before anybody knows whether 'with' or 'async with' follows."
BLOCKING: Final = "It is about 'db.session', or a call of blocking code that no coroutine has."
CORE: Final = (
    "It is about a function of the core that both kinds call; the drivers differ elsewhere."
)
THREADS: Final = "It is about threads; tasks have 'test_tasks.py' and 'test_sharing_async.py'."
BODY: Final = "Flask streams a body in a thread of its own, where no coroutine runs."
OTHERWISE: Final = "It is so in coroutines, where a test of another name says it."

FILES: Final[dict[str, str]] = {
    "test_two_phases.py": CORE,
    "test_sharing.py": THREADS,
    "test_saving.py": BLOCKING,
    "test_streaming.py": BODY,
    "retry/test_arguments.py": CORE,
    "retry/test_lost_connections.py": CORE,
    "test_lost_commits.py": CORE,
    "test_reviewed.py": CORE,
    "test_interplay.py": CORE,
    "test_model.py": CORE,
    "test_sources.py": OTHERWISE,
}
"""Files of which not each test has a twin, with the reason; what differs in coroutines has tests of its own."""

REASONS: Final[dict[str, dict[str, str]]] = {
    "test_propagation.py": {},
    "test_ownership.py": {
        "test_a_savepoint_may_be_begun_with_the_argument_of_begin": BLOCKING,
        "test_the_guards_hold_without_assertions": CORE,
        "test_the_sessions_of_another_app_are_not_touched": BLOCKING,
    },
    "test_outcome.py": {},
    "test_hooks.py": {
        "test_a_coroutine_function_is_refused": OTHERWISE,
        "test_registering_without_a_context_is_an_error": BEFORE,
        "test_registering_in_an_app_without_the_extension_is_an_error": BEFORE,
        "test_a_refused_registration_leaves_the_scope_as_it_was": OTHERWISE,
        "test_rollback_hooks_run_at_the_end_of_the_context": BLOCKING,
    },
    "test_scope_options.py": {
        "test_mysql_has_a_variable_of_its_own": CORE,
        "test_an_unknown_propagation": BEFORE,
        "test_a_timeout_that_is_no_time": BEFORE,
        "test_a_timeout_that_is_no_number": BEFORE,
        "test_an_unknown_isolation_level": BEFORE,
        "test_autocommit_is_no_isolation_level": BEFORE,
        "test_read_only_is_true_or_false": BEFORE,
        "test_a_name_is_a_string": BEFORE,
    },
    "test_views.py": {
        "test_an_exception_without_a_status_rolls_back": CORE,
        "test_a_joined_scope_makes_an_error_response_roll_back": OTHERWISE,
        "test_the_methods_of_a_method_view": OTHERWISE,
        "test_the_decorators_of_a_view_class": BLOCKING,
        "test_commit_on_takes_exception_classes_only": BEFORE,
        "test_rollback_on_status_takes_a_status_only": BEFORE,
        "test_a_service_outside_of_a_request": CORE,
        "test_a_service_in_a_request_without_an_endpoint": CORE,
        "test_what_cannot_be_decorated": BEFORE,
        "test_a_view_may_have_a_transactional_twin": CORE,
        "test_views_are_looked_at_once": CORE,
        "test_a_callable_object_can_be_decorated": BLOCKING,
        "test_a_streaming_body_that_uses_the_session": BODY,
        "test_a_streaming_body_may_open_a_scope": BODY,
        "test_a_streaming_body_may_call_a_decorated_service": BODY,
        "test_a_streaming_body_without_the_session_is_left_alone": BODY,
        "test_a_body_that_the_client_leaves_is_closed": BODY,
        "test_a_body_that_cannot_be_closed": BODY,
        "test_an_ordinary_view_may_stream_from_the_session": BODY,
        "test_a_service_may_return_a_generator": BLOCKING,
        "test_send_file_is_untouched": BODY,
    },
    "test_transactional_views.py": {},
    "test_commit_failures.py": {
        "test_stock_stores_the_row_of_a_failed_request": BLOCKING,
        "test_stock_fails_where_the_deferred_key_of_another_request_is_wrong": BLOCKING,
        "test_a_connection_lost_in_a_block_of_begin_is_unknown_too": CORE,
        "test_a_later_commit_by_hand_that_fails_is_partial_too": CORE,
        "test_a_lost_connection_of_several_is_not_pooled": CORE,
        "test_a_failure_while_preparing_stores_nothing": CORE,
        "test_a_swallowed_failure_is_found_before_preparing": OTHERWISE,
        "test_two_phases_need_several_databases_that_can": CORE,
        "test_a_prepare_by_hand_stays_allowed": BLOCKING,
        "test_two_phases_without_a_session_stay_as_they_are": CORE,
        "test_a_savepoint_without_a_session_stays_as_it_is": CORE,
        "test_a_commit_without_a_session_that_fails_is_rolled_back": CORE,
        "test_a_commit_that_is_interrupted_is_unknown": OTHERWISE,
        "test_a_dialect_that_executes_in_its_own_way_does_so_still": CORE,
    },
    "test_phases.py": {
        "test_a_hook_of_the_first_phase_that_is_only_logged": CORE,
        "test_a_hook_of_the_third_phase_that_fails": CORE,
        "test_a_failed_second_phase_and_a_hook_of_the_third_that_fails": CORE,
        "test_an_interrupted_third_phase": OTHERWISE,
        "test_phases_need_no_functions": CORE,
        "test_inside_a_hand_written_block": BLOCKING,
        "test_the_method_serves_its_own_app": CORE,
        "test_an_idle_connection_is_given_back_first": BLOCKING,
        "test_an_idle_read_keeps_its_objects": BLOCKING,
        "test_hooks_of_a_hand_written_read_are_kept": BLOCKING,
        "test_a_second_session_is_given_back_too": BLOCKING,
        "test_a_second_session_with_changes": BLOCKING,
        "test_a_second_session_with_a_savepoint": BLOCKING,
        "test_scopes_inside_the_second_phase": OTHERWISE,
        "test_changes_that_are_an_error": CORE,
        "test_changes_that_an_error_cut_off": CORE,
        "test_a_read_that_the_second_phase_leaves": BLOCKING,
        "test_what_a_hook_of_the_first_phase_leaves": CORE,
        "test_a_connection_that_a_test_has_lent": BLOCKING,
        "test_inside_a_savepoint_by_hand": BLOCKING,
        "test_a_row_that_prepare_returns": OTHERWISE,
    },
    "retry/test_tries.py": {
        "test_tenacity_is_there_before_the_first_failure": BEFORE,
        "test_the_whole_transaction_is_tried_again": OTHERWISE,
        "test_without_retry_there_is_one_try": CORE,
        "test_a_busy_commit_of_sqlite_is_tried_again": OTHERWISE,
        "test_what_the_context_had_loaded_is_there_in_each_try": CORE,
        "test_no_connection_is_held_during_a_wait": OTHERWISE,
        "test_an_unknown_commit_is_not_tried_again": OTHERWISE,
        "test_the_wait_has_full_jitter": CORE,
        "test_pending_changes_are_refused_at_the_first_try": OTHERWISE,
        "test_a_transaction_by_hand_is_refused": BLOCKING,
        "test_an_idle_read_before_is_given_back": BLOCKING,
        "test_a_second_session_of_the_context_is_rolled_back_too": BLOCKING,
        "test_a_swallowed_conflict_is_tried_again": CORE,
        "test_a_job_is_tried_again": THREADS,
        "test_tenacity_is_not_imported_without_need": CORE,
    },
    "retry/test_attempts.py": {},
    "retry/test_views.py": {
        "test_when_no_try_is_left_the_client_is_asked_to_come_back": OTHERWISE,
        "test_an_abort_is_tried_again_where_it_comes_from_a_fault": OTHERWISE,
        "test_a_duplicate_is_answered_at_once": OTHERWISE,
    },
}
"""Files whose tests have twins, and the reasons of those that have none."""

OTHERS: Final = (
    "test_contexts.py",
    "test_databases.py",
    "test_doctor.py",
    "test_extension.py",
    "test_fast_paths.py",
    "test_faults.py",
    "test_healthy.py",
    "test_held.py",
    "test_http_errors.py",
    "test_pool.py",
    "test_sharing_async.py",
    "test_twins.py",
)
"""Files that open scopes for the sake of something else: contexts, engines, errors."""

KNOWN: Final = sorted({*FILES, *REASONS})


def _tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            yield node.name


def _twins() -> set[str]:
    found = [*(ROOT / "asynchronous").rglob("test_*.py"), ROOT / "test_sharing_async.py"]
    return {name for path in found for name in _tests(path)}


@pytest.mark.parametrize("name", REASONS)
def test_each_has_a_twin_or_a_reason(name: str) -> None:
    """And no reason is given for what has a twin, or is no test."""
    assert set(_tests(ROOT / name)) - _twins() == set(REASONS[name])


def test_each_file_of_scopes_is_known() -> None:
    """A new file of tests that open scopes says whether it has twins."""
    opening = [
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("test_*.py"), *(ROOT / "retry").glob("test_*.py")]
        if "session_manager(" in path.read_text(encoding="utf-8")
    ]
    assert sorted(set(opening) - set(OTHERS) - set(KNOWN)) == []
