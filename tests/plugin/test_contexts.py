"""Contexts that a test leaves pushed are told, wherever they were pushed and whatever they lie on."""

from __future__ import annotations

import contextvars

import pytest
from flask import Flask

from flask_safesession._proxies import request_context
from flask_safesession.testing._contexts import tops

from .inner import Inner

pytest_plugins = ["pytester"]

LEAKS_FAIL = "safesession_leaks = error"
APPLICATION = "*an application context is still pushed, by"
REQUEST = "*a request context is still pushed, by"


@pytest.mark.parametrize(
    ("fixtures", "push", "line"),
    [
        ("app", "app.test_request_context().push()", f"{REQUEST} 'leak' (test_shop.py:*)*"),
        (
            "app, db_session",
            "app.test_request_context().push()",
            f"{REQUEST} 'leak' (test_shop.py:*)*",
        ),
        ("app, kept", "app.test_request_context().push()", f"{REQUEST} 'leak' (test_shop.py:*)*"),
        ("app, kept", "app.app_context().push()", f"{APPLICATION} 'leak' (test_shop.py:*)*"),
        (
            "app, kept_request",
            "app.app_context().push()",
            f"{APPLICATION} 'leak' (test_shop.py:*)*",
        ),
        (
            "app, kept_request",
            "app.test_request_context().push()",
            f"{REQUEST} 'leak' (test_shop.py:*)*",
        ),
        (
            "app",
            "contextvars.copy_context().run(kept_contexts.append(app.app_context()) or kept_contexts[-1].push)",
            f"{APPLICATION} 'leak' (test_shop.py:*)*",
        ),
    ],
)
def test_a_context_on_another(inner: Inner, fixtures: str, push: str, line: str) -> None:
    """Also where the one below it is of the same app, and was there before the test."""
    result = inner.run(
        f"""
        import contextvars

        kept_contexts = []

        @pytest.fixture(scope="module")
        def kept(app):
            app.app_context().push()

        @pytest.fixture(scope="module")
        def kept_request(app):
            app.test_request_context().push()

        def leak(app):
            {push}

        def test_one({fixtures}):
            leak(app)

        def test_two({fixtures}):
            with app.app_context(), app.test_request_context():
                pass
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([line])


def test_a_context_of_a_fixture(inner: Inner) -> None:
    """One that a fixture of the test pushes and never pops is a leak; one that it pops is none."""
    result = inner.run(
        """
        @pytest.fixture
        def leaves(app):
            app.app_context().push()

        @pytest.fixture
        def tidy(app):
            with app.test_request_context(), app.app_context():
                yield

        def test_one(tidy): pass
        def test_two(tidy, db_session): pass
        def test_three(leaves): pass
        def test_four(leaves, db_session): pass
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines([f"{APPLICATION} 'leaves' (test_shop.py:*)*"] * 2)


@pytest.mark.parametrize("keep", ["contexts.append(context)", "pass"])
@pytest.mark.parametrize("fixture", ["app", "app, db_session", "app, transactional_db"])
def test_a_context_of_a_thread(inner: Inner, keep: str, fixture: str) -> None:
    """It is told when the thread has ended, also if nobody has the context any more."""
    result = inner.run(
        f"""
        import gc, threading

        contexts = []

        def work(app):
            context = app.app_context()
            {keep}
            context.push()

        def test_one({fixture}):
            thread = threading.Thread(target=work, args=[app], name="worker")
            thread.start()
            thread.join()
            gc.collect()

        def test_two({fixture}): pass
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.re_match_lines(
        [".*context (is still pushed, by|was never popped, pushed by) 'work' .test_shop.py:.*"]
    )


def test_a_thread_that_is_about_to_end(inner: Inner) -> None:
    """It has a moment to pop; one from before the test is none of its business."""
    inner.run(
        """
        import threading

        begun, go_on = threading.Event(), threading.Event()

        def work(app):
            with app.app_context():
                begun.set()
                go_on.wait(9)

        @pytest.fixture(scope="module")
        def lasting(app):
            asked = threading.Event()

            def push():
                asked.wait(9)
                app.app_context().push()
                begun.set()
                go_on.wait(9)

            thread = threading.Thread(target=push)
            thread.start()
            yield asked
            go_on.set()
            thread.join()

        def test_lasting(app, lasting):
            lasting.set()
            begun.wait(9)

        def test_ends(app):
            begun.clear()
            thread = threading.Thread(target=work, args=[app])
            thread.start()
            begun.wait(9)
            threading.Timer(0.2, go_on.set).start()
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=2)


def test_a_running_job_is_told_once(inner: Inner) -> None:
    """Its context goes with it."""
    result = inner.run(
        """
        import threading
        from flask_safesession import AppContextManager

        go_on = threading.Event()

        def test_one(app):
            AppContextManager(app).thread(go_on.wait).start()

        def test_two(app):
            go_on.set()
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.no_fnmatch_line("*context is still pushed*")


def test_the_next_test_has_no_request(inner: Inner) -> None:
    """A request that a test with ``db_session`` has left is gone with it."""
    result = inner.run(
        """
        from flask import has_request_context

        def test_one(app, db_session):
            app.test_request_context().push()

        def test_two(app, db_session):
            assert not has_request_context()
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)


def test_a_context_that_is_pushed_twice(inner: Inner) -> None:
    """It is one, and gone when it was popped twice."""
    inner.run(
        """
        def test_one(app):
            context = app.app_context()
            with context, context:
                pass
        """,
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=1)


def test_a_request_that_cannot_be_popped(app: Flask) -> None:
    """Whoever tidies up does not try for ever."""

    def restore() -> None:
        before = tops()
        request_context.set(app.test_request_context())  # nobody has pushed it
        before.restore()

    contextvars.copy_context().run(restore)
