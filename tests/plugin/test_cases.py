"""Test cases of ``unittest``, run by its own runner."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

from flask_safesession import errors, session_manager
from flask_safesession.testing import SafeSessionTestCase
from tests.kit import Kit


def _run(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


@pytest.mark.parametrize("isolation", ["rollback", "commit"])
def test_each_test_begins_with_an_empty_database(kit: Kit, isolation: Any) -> None:
    """Whatever its set-up and its tests commit."""

    class Case(SafeSessionTestCase):
        def create_app(self) -> Any:
            return kit.app

        def setUp(self) -> None:
            self.db_session.add(kit.Item(name="set-up"))
            self.db_session.commit()

        def test_one(self) -> None:
            with session_manager() as session:
                session.add(kit.Item(name="test"))
            assert self.db_session.query(kit.Item).count() == 2

        test_two = test_one

    Case.isolation = isolation
    result = _run(Case)
    assert (result.testsRun, result.errors, result.failures, kit.names()) == (2, [], [], [])


def test_a_case_without_an_app() -> None:
    """It is an error of the test, in one sentence."""

    class Case(SafeSessionTestCase):
        def test_one(self) -> None:
            raise AssertionError

    [(_, text)] = _run(Case).errors
    assert (
        "'Case' has no app. Write its method 'create_app()', which returns the Flask app." in text
    )


def test_a_test_that_leaves_something_behind(sqlite_kit: Kit) -> None:
    """It is an error of that test, and the next one runs."""

    class Case(SafeSessionTestCase):
        leaks = "error"

        def create_app(self) -> Any:
            return sqlite_kit.app

        def test_one(self) -> None:
            self.addCleanup(sqlite_kit.engine.connect().close)
            self.connection = sqlite_kit.engine.connect()

        def test_two(self) -> None:
            pass

    result = _run(Case)
    assert (result.testsRun, len(result.errors)) == (2, 1)
    assert errors.LeakError.__name__ in result.errors[0][1]


@pytest.mark.parametrize("name", ["isolation", "leaks"])
def test_an_unknown_value(sqlite_kit: Kit, name: str) -> None:
    """The values that there are follow."""

    class Case(SafeSessionTestCase):
        def create_app(self) -> Any:
            return sqlite_kit.app

        def test_one(self) -> None:
            pass

    setattr(Case, name, "never")
    ((_, text),) = _run(Case).errors
    assert f"'Case' says '{name} = 'never''. Give one of " in text
