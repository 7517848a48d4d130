"""Retries inside a test that is rolled back."""

from __future__ import annotations

from flask_safesession import current_scope, on_commit
from flask_safesession.testing import RollbackIsolation
from tests.kit import Kit

from .faults import QUICK, conflict


def test_a_unit_is_tried_again_in_an_isolated_test(kit: Kit) -> None:
    """Only the failed try is undone, the one that commits is seen by the test, and nothing is stored after it."""
    ran: list[int] = []

    def work() -> None:
        scope = current_scope()
        assert scope is not None
        kit.session().add(kit.Item(name=f"try {scope.attempt}"))
        kit.session().flush()
        on_commit(ran.append, scope.attempt)
        if scope.attempt < 3:
            conflict(kit.session(), kit.database.dialect)

    with RollbackIsolation(kit.app), kit.app.app_context():
        kit.session().add(kit.Item(name="before"))
        kit.session().commit()
        kit.safe.run(work, retry=QUICK)
        names = [item.name for item in kit.session().query(kit.Item).order_by(kit.Item.id)]
    assert (names, ran, kit.names()) == (["before", "try 3"], [3], [])
