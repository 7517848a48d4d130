"""A refusal of the database that the code under test swallows is no failure that ``xfail`` expects."""

from __future__ import annotations

import pytest

from .inner import Inner

pytest_plugins = ["pytester"]

EXPLICIT = "safesession_db_access = explicit"
REFUSED = "*'names' (shop.py:*) used the database in a test that has not asked for it*"
SWALLOWS = """
            with app.app_context():
                try:
                    names()
                except Exception:
                    pass
"""


@pytest.mark.parametrize("arguments", ["", "strict=True", "raises=ValueError"])
@pytest.mark.parametrize("end", ["pass", "raise ValueError"])
def test_a_refusal_that_was_swallowed(inner: Inner, arguments: str, end: str) -> None:
    """The test fails, with the line; ``xfail`` was meant for something else."""
    result = inner.run(
        f"""
        @pytest.mark.xfail({arguments})
        def test_one(app):
{SWALLOWS}
            {end}
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([REFUSED])


def test_a_refusal_in_a_fixture(inner: Inner) -> None:
    """It is an error of the set-up."""
    result = inner.run(
        f"""
        @pytest.fixture
        def curious(app):
{SWALLOWS}
        @pytest.mark.xfail
        def test_one(curious): pass
        """,
        ini=EXPLICIT,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([REFUSED])


def test_failures_that_are_expected(inner: Inner) -> None:
    """They stay so: a refusal that the test lets out, and what has nothing to do with it."""
    inner.run(
        """
        @pytest.mark.xfail
        def test_one(app):
            with app.app_context():
                names()

        @pytest.mark.xfail
        def test_two(app):
            raise ValueError

        @pytest.mark.xfail
        def test_three(app): pass
        """,
        ini=EXPLICIT,
    ).assert_outcomes(xfailed=2, xpassed=1)
