"""Scopes that nobody left are told, whichever task or thread had entered them."""

from __future__ import annotations

import pytest

from .inner import Inner

pytest_plugins = ["pytester"]

LEAKS_FAIL = "safesession_leaks = error"
ASYNC = """
        import asyncio
        from flask_safesession import session_manager

        kept = []

        async def leave_open():
            block = session_manager(name="open")
            await block.__aenter__()
            {keep}
"""
SCOPE = "*behind: *the scope 'open' (test_shop.py:*) is still open*"


@pytest.mark.parametrize("keep", ["kept.append(block)", "pass"])
@pytest.mark.parametrize(
    ("fixture", "call"),
    [
        ("app, db_session", "asyncio.run(leave_open())"),
        ("app, transactional_db", "asyncio.run(leave_open())"),
        ("app", "with app.app_context(): asyncio.run(leave_open())"),
    ],
)
def test_a_scope_of_a_coroutine(inner: Inner, keep: str, fixture: str, call: str) -> None:
    """Its task is gone, and maybe its context, and the block was never left; no statement was sent."""
    result = inner.run(
        f"""
        {ASYNC.format(keep=keep)}
        def test_one({fixture}):
            {call}

        def test_two({fixture}):
            async def tidy():
                async with session_manager() as outer, session_manager():
                    await outer.execute(db.text("SELECT 1"))
            with app.app_context():
                asyncio.run(tidy())
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([SCOPE])


def test_a_block_that_failed_to_open(inner: Inner) -> None:
    """Nobody has to leave it."""
    inner.run(
        """
        import asyncio
        from flask_safesession import errors, session_manager

        async def cannot():
            async with session_manager(propagation="supports"):
                with pytest.raises(errors.NoTransactionError):
                    await session_manager(propagation="mandatory").__aenter__()

        def test_one(db_session):
            asyncio.run(cannot())
        """,
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=1)


def test_a_task_that_goes_on(inner: Inner) -> None:
    """One of an event loop that lasts may leave its block yet."""
    inner.run(
        """
        import asyncio
        from flask_safesession import session_manager

        kept = []

        @pytest.fixture(scope="module")
        def loop(app):
            loop = asyncio.new_event_loop()
            yield loop
            loop.close()

        async def work(go_on):
            async with session_manager():
                await go_on.wait()

        async def turns():
            for _ in range(5):
                await asyncio.sleep(0)

        def test_one(app, loop):
            with app.app_context():
                go_on = asyncio.Event()
                kept.extend([go_on, loop.create_task(work(go_on))])
                loop.run_until_complete(turns())

        def test_two(app, loop):
            kept[0].set()
            loop.run_until_complete(kept[1])
        """,
        "-p",
        "no:randomly",
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=2)


def test_a_scope_of_a_thread(inner: Inner) -> None:
    """It is told beside its context."""
    result = inner.run(
        """
        import threading
        from flask_safesession import session_manager

        kept = []

        def work(app):
            context, block = app.app_context(), session_manager(name="open")
            context.push()
            block.__enter__()
            kept.append((context, block))

        def test_one(app):
            thread = threading.Thread(target=work, args=[app])
            thread.start()
            thread.join()
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([SCOPE])
    result.stdout.fnmatch_lines(["*an application context is still pushed, by 'work'*"])


def test_a_scope_that_was_open_before_the_test(inner: Inner) -> None:
    """The test may leave it."""
    inner.run(
        """
        import asyncio
        from flask_safesession import session_manager

        @pytest.fixture(scope="session")
        def loop():
            loop = asyncio.new_event_loop()
            yield loop
            loop.close()

        @pytest.fixture(scope="session")
        def leave(app, loop):
            entered, leaving = asyncio.Event(), asyncio.Event()

            async def stay():
                with app.app_context():
                    block = session_manager()
                    await block.__aenter__()  # 'async with' would have looked up both methods by now
                    entered.set()
                    await leaving.wait()
                    await block.__aexit__(None, None, None)

            async def begin():
                task = asyncio.create_task(stay())
                await entered.wait()
                return task

            task = loop.run_until_complete(begin())

            def leave():
                leaving.set()
                loop.run_until_complete(task)

            return leave

        def test_one(app, leave):
            leave()
        """,
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=1)
