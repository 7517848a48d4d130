"""Tests may be coroutine functions: each runs in an event loop and an application context of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import pytest

from ...conftest import Wanted
from ...test_scope_options import ONE
from .kit import DRIVERS, FLAVOURS, MAIN, AsyncKit, make_async_kit

MakeKit = Callable[..., AsyncKit]

_MARKS = {
    "asyncpg": "postgresql",
    "psycopg": "postgresql",
    "asyncmy": "mariadb",
    "aiomysql": "mariadb",
}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function to its end; one that makes its kit by itself pushes its own context."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    given = {name: pyfuncitem.funcargs[name] for name in names}
    kits = cast("list[AsyncKit]", pyfuncitem.funcargs["async_kits"])

    async def main() -> None:
        try:
            await pyfuncitem.obj(**given)
            assert [kit.checkedout() for kit in kits] == [0] * len(kits)
        finally:
            for kit in kits:
                await kit.dispose()

    with kits[0].app.app_context() if kits else nullcontext():
        asyncio.run(asyncio.wait_for(main(), 50))
    return True


@pytest.fixture
def async_kits() -> list[AsyncKit]:
    """The kits of this test."""
    return []


@pytest.fixture
def ran() -> list[Any]:
    """What the hooks of a test noted, in order."""
    return []


@pytest.fixture
def make_kit(wanted: Wanted, async_kits: list[AsyncKit]) -> MakeKit:
    """Make kits on the driver of a given name; ``"aiosqlite"`` if none is given."""

    def make(driver: str = "aiosqlite", **arguments: Any) -> AsyncKit:
        kit = make_async_kit(wanted.get(DRIVERS[driver][0]), driver, **arguments)
        async_kits.append(kit)
        return kit

    return make


def _parameters(names: Any) -> list[Any]:
    marks = {name: getattr(pytest.mark, mark) for name, mark in _MARKS.items()}
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


@pytest.fixture(params=_parameters(MAIN))
def kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """One driver for each of the three databases."""
    return make_kit(request.param)


@pytest.fixture(params=_parameters(DRIVERS))
def every_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """Each of the drivers."""
    return make_kit(request.param)


@pytest.fixture
def sqlite_kit(make_kit: MakeKit) -> AsyncKit:
    """A SQLite file."""
    return make_kit()


@pytest.fixture(params=FLAVOURS)
def any_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """Each way of having asynchronous sessions, on a SQLite file."""
    return make_kit(flavour=request.param)


@pytest.fixture(params=_parameters(MAIN))
def driver(request: pytest.FixtureRequest) -> str:
    """One driver for each of the three databases."""
    return str(request.param)


@pytest.fixture
def one(make_kit: MakeKit, driver: str) -> AsyncKit:
    """A kit with one connection, so that each transaction gets the one that the last gave back."""
    return make_kit(driver, engine_options=ONE)
