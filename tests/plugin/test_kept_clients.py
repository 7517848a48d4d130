"""A test client inside ``with`` keeps the contexts of its last request: whose leak that is, and what is told."""

from __future__ import annotations

import pytest

from .inner import Inner

pytest_plugins = ["pytester"]

LEAKS_FAIL = "safesession_leaks = error"
KEPT = "*, which a client inside 'with app.test_client()' keeps (use *without 'with', or * for each test)*"


@pytest.mark.parametrize(
    "wish",
    ["", '@pytest.mark.safesession(isolation="rollback")', '@pytest.mark.safesession("commit")'],
)
def test_the_client_of_a_wider_fixture(inner: Inner, wish: str) -> None:
    """What it keeps is not the test's."""
    inner.run(
        f"""
        @pytest.fixture(scope="session")
        def lasting(app):
            app.get("/")(lambda: "")
            with app.test_client() as client:
                yield client

        {wish}
        def test_one(lasting):
            assert lasting.get("/").status_code == 200

        {wish}
        def test_two(lasting):
            assert lasting.get("/").status_code == 200
        """,
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=2)


def test_the_client_of_a_wider_fixture_beside_a_context(inner: Inner) -> None:
    """Flask cannot have both: the way out is told."""
    result = inner.run(
        """
        @pytest.fixture(scope="session")
        def lasting(app):
            app.get("/")(lambda: "")
            with app.test_client() as client:
                yield client

        def test_one(lasting, db_session):
            assert lasting.get("/").status_code == 200
        """,
        ini=LEAKS_FAIL,
    )
    result.stdout.fnmatch_lines([KEPT])


def test_the_client_of_the_test(inner: Inner) -> None:
    """One that it enters and does not leave is its leak."""
    result = inner.run(
        """
        def test_one(app):
            app.get("/")(lambda: "")
            app.test_client().__enter__().get("/")
        """,
        ini=LEAKS_FAIL,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([KEPT])


def test_a_client_that_is_left(inner: Inner) -> None:
    """Nothing is told of it."""
    inner.run(
        """
        def test_one(app):
            app.get("/")(lambda: "")
            with app.test_client() as client:
                client.get("/")
            app.test_client().get("/")
        """,
        ini=LEAKS_FAIL,
    ).assert_outcomes(passed=1)
