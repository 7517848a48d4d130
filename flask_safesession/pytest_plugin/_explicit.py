"""``safesession_db_access = explicit``: who has reached for the database unasked has failed.

It is loaded where the setting says so, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from ._marks import GUARD

if TYPE_CHECKING:
    from ..testing._access import Refusal

__all__ = ["ExplicitAccess"]

Phase = Generator[None, Any, Any]


class ExplicitAccess:
    """Fails each test that was refused the database, also where the code under test has swallowed that."""

    def __init__(self) -> None:
        self._item: pytest.Item | None = None
        self._swallowed: str | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Phase:
        self._item = item
        return (yield from self._phase("setup"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Phase:
        return (yield from self._phase("call"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Phase:
        return (yield from self._phase("teardown"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        """Let a refusal that was swallowed be no failure that 'xfail' expects."""
        report = yield
        text, self._swallowed = self._swallowed, None
        if text is not None and hasattr(report, "wasxfail"):
            del report.wasxfail
            report.outcome, report.longrepr = "failed", text
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Phase:
        """Let fixtures that last for several tests use it, also where a test asks for them while it runs."""
        refusal = self._refusal()
        if refusal is None or fixturedef.scope == "function":
            return (yield)
        with refusal.lifted():
            return (yield)

    def _phase(self, name: str) -> Phase:
        try:
            result = yield
        except pytest.skip.Exception:
            self._fail()
            raise
        except BaseException as error:
            self._explain(name, error)
            raise
        self._fail()
        return result

    def _refusal(self) -> Refusal | None:
        guard = (getattr(self._item, "funcargs", None) or {}).get(GUARD)
        refusal: Refusal | None = getattr(guard, "refusal", None)
        return refusal

    def _take(self) -> str | None:
        refusal = self._refusal()
        return None if refusal is None else refusal.take()

    def _fail(self) -> None:
        if (text := self._take()) is not None:
            self._swallowed = text
            pytest.fail(text, pytrace=False)

    def _explain(self, phase: str, error: BaseException) -> None:
        """A test that fails by itself may do so because of it."""
        text = self._take()
        if text is not None and text not in str(error) and self._item is not None:
            self._swallowed = text
            self._item.add_report_section(phase, "database access", text)
