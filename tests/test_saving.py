"""`safe_commit` and `add_all_or_abort`: the helpers for code that writes its own transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, ProgrammingError, StatementError
from sqlalchemy.orm.exc import UnmappedInstanceError
from werkzeug.exceptions import Conflict, HTTPException, ServiceUnavailable, UnprocessableEntity

from flask_safesession import (
    add_all_or_abort,
    classify,
    safe_commit,
    session_manager,
    transactional,
)
from flask_safesession.errors import UnexpectedRollbackError

from .databases import end_connections
from .kit import Kit

# --- safe_commit


def test_safe_commit_commits(kit: Kit) -> None:
    """Outside a scope it commits, and gives the connection back."""
    with kit.app.app_context():
        kit.db.session.add(kit.Item(name="a"))
        safe_commit()
        assert kit.checkedout() == 0
    assert kit.names() == ["a"]


def test_safe_commit_for_each_way_of_having_sessions(any_kit: Kit) -> None:
    """It commits the session of the context, wherever that comes from."""
    with any_kit.app.app_context(), session_manager(propagation="supports") as session:
        session.add(any_kit.Item(name="a"))
        safe_commit()
    assert any_kit.names() == ["a"]


def test_safe_commit_rolls_back_a_failure(kit: Kit) -> None:
    """A failing flush or COMMIT is rolled back and raised as it is; the session can be used again."""
    with kit.app.app_context():
        kit.db.session.add_all([kit.Item(name="a"), kit.LateChild(name="x", parent_id=987)])
        with pytest.raises(IntegrityError):
            safe_commit()
        assert (kit.checkedout(), list(kit.db.session.new)) == (0, [])
        kit.db.session.add(kit.Item(name="b"))
        safe_commit()
    assert (kit.names(), kit.count(kit.LateChild)) == (["b"], 0)


def test_safe_commit_in_a_scope_flushes(kit: Kit) -> None:
    """Inside a scope the owner commits: the row has its number and may still be rolled back."""
    item = kit.Item(name="a")
    with (
        kit.app.app_context(),
        pytest.raises(ValueError, match="no"),
        session_manager() as session,
    ):
        session.add(item)
        safe_commit()
        assert (item.id is not None, kit.names()) == (True, [])
        raise ValueError("no")
    assert kit.names() == []


def test_safe_commit_in_a_scope_raises_what_the_flush_raises(sqlite_kit: Kit) -> None:
    """A failing flush leaves the scope as the same exception, and the scope rolls back."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(IntegrityError),
        session_manager() as session,
    ):
        session.add_all([sqlite_kit.Item(name="a"), sqlite_kit.Item(name="a")])
        safe_commit()
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


def test_safe_commit_on_a_connection_that_is_gone(sqlite_kit: Kit) -> None:
    """A connection on which neither COMMIT nor ROLLBACK works is not used again."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session
        session.add(sqlite_kit.Item(name="a"))
        session.flush()
        session.connection().connection.dbapi_connection.close()
        with pytest.raises(ProgrammingError):
            safe_commit()
        assert sqlite_kit.checkedout() == 0
        assert session.scalars(select(sqlite_kit.Item)).all() == []


def test_a_rollback_that_fails_too(sqlite_kit: Kit) -> None:
    """The first error is raised with a note of the second, and the connection is not used again."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.db.session
        session.connection().connection.dbapi_connection.close()
        with pytest.raises(UnmappedInstanceError) as caught:
            add_all_or_abort([object()])
        assert (sqlite_kit.checkedout(), session.scalar(select(1))) == (0, 1)
    assert "The rollback failed too: ProgrammingError" in _notes(caught.value)


def _notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


# --- add_all_or_abort


def _store(kit: Kit, *instances: Any) -> None:
    with kit.app.app_context(), session_manager() as session:
        session.add_all(instances)


def _refused(kit: Kit, *instances: Any, description: str | None = None) -> HTTPException:
    """What ``add_all_or_abort`` aborts with; nothing of its work may be left."""
    before = (kit.names(), kit.count(kit.Child), kit.count(kit.LateChild))
    with kit.app.app_context(), pytest.raises(HTTPException) as caught:
        add_all_or_abort([kit.Item(name="first"), *instances], description=description)
    assert (kit.names(), kit.count(kit.Child), kit.count(kit.LateChild)) == before
    assert kit.checkedout() == 0
    return caught.value


def test_add_all_or_abort_stores_all(kit: Kit) -> None:
    """It stores the instances of any iterable and returns them as a list."""
    with kit.app.app_context():
        items = add_all_or_abort(kit.Item(name=name) for name in "ab")
        assert [item.name for item in items] == ["a", "b"]
    assert kit.names() == ["a", "b"]


def test_add_all_or_abort_of_nothing(sqlite_kit: Kit) -> None:
    """No instances are no work."""
    with sqlite_kit.app.app_context():
        assert add_all_or_abort([]) == []


def test_a_duplicate_is_a_conflict(kit: Kit) -> None:
    """A unique key answers 409, on each database."""
    _store(kit, kit.Item(name="a"))
    error = _refused(kit, kit.Item(name="a"))
    assert (error.code, error.description) == (409, "An entry with the same values exists already.")
    assert isinstance(error, Conflict)
    assert isinstance(error.__cause__, IntegrityError)


def test_a_duplicate_among_the_instances(kit: Kit) -> None:
    """The same holds for two of the instances themselves: none is stored."""
    assert _refused(kit, kit.Item(name="a"), kit.Item(name="a")).code == 409


def test_a_missing_parent_is_unprocessable(kit: Kit) -> None:
    """A reference to a row that does not exist answers 422."""
    error = _refused(kit, kit.Child(name="orphan", parent_id=987))
    assert (error.code, error.description) == (422, "An entry referred to does not exist.")


def test_a_row_that_is_still_referred_to_is_a_conflict(kit: Kit) -> None:
    """Deleting a row that others refer to, along with new ones, answers 409."""
    _store(kit, kit.Parent(id=500, name="parent"))
    _store(kit, kit.LateChild(name="child", parent_id=500))
    with kit.app.app_context():
        kit.db.session.delete(kit.db.session.get(kit.Parent, 500))
        with pytest.raises(Conflict) as caught:
            add_all_or_abort([kit.Item(name="a")])
    assert caught.value.description == "An entry is still referred to by others."
    assert (kit.names(), kit.count(kit.Parent)) == ([], 1)


def test_a_missing_value_is_unprocessable(kit: Kit) -> None:
    """A NOT NULL column without a value answers 422."""
    error = _refused(kit, kit.Item(name=None))
    assert (error.code, error.description) == (422, "A required value is missing.")
    assert isinstance(error, UnprocessableEntity)


def test_a_value_that_is_too_long_is_unprocessable(kit: Kit) -> None:
    """More characters than the column takes answer 422; SQLite takes any number."""
    if kit.database.dialect == "sqlite":
        _store(kit, kit.Item(name="x" * 51))
        return
    error = _refused(kit, kit.Item(name="x" * 51))
    assert error.code == 422
    assert error.description == "A value is too long, out of range or not valid."


@contextmanager
def _unavailable(kit: Kit) -> Iterator[None]:
    """SQLite is locked by another writer; a server ends the connection that the session holds."""
    if kit.database.dialect != "sqlite":
        kit.db.session.execute(select(1))
        end_connections(kit.database)
        yield
        return
    writer = sqlite3.connect(str(kit.engine.url.database), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    yield
    writer.close()


def test_an_unavailable_database(kit: Kit) -> None:
    """While the database is away it answers 503 with ``Retry-After``, and holds no connection."""
    with kit.app.app_context(), _unavailable(kit):
        with pytest.raises(ServiceUnavailable) as caught:
            add_all_or_abort([kit.Item(name="a")])
        assert kit.checkedout() == 0
    headers = dict(caught.value.get_headers())
    assert headers["Retry-After"] == "1"
    assert caught.value.description == "The database is not available for the moment."
    assert kit.names() == []


def test_the_client_sees_retry_after(sqlite_kit: Kit) -> None:
    """The header is in the response."""
    kit = sqlite_kit
    kit.app.add_url_rule("/", "index", lambda: str(add_all_or_abort([kit.Item(name="a")])))
    with kit.app.app_context(), _unavailable(kit):
        answer = kit.client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def _duplicate(kit: Kit) -> list[Any]:
    return [kit.Item(name="a"), kit.Item(name="a")]


WRONG: dict[str, Callable[[Kit], list[Any]]] = {
    "unique": _duplicate,
    "foreign key": lambda kit: [kit.Child(name="orphan", parent_id=987)],
    "not null": lambda kit: [kit.Item(name=None)],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_no_sql_in_the_answer(kit: Kit, wrong: Callable[[Kit], list[Any]]) -> None:
    """The client learns neither statements nor names of tables, columns and constraints."""
    kit.app.add_url_rule("/", "index", lambda: str(add_all_or_abort(wrong(kit))))
    answer = kit.client.get("/")
    assert answer.status_code in (409, 422)
    told = answer.text.lower()
    leaked = ["insert", "sql", "item", "parent", "constraint", "unique"]
    assert [each for each in leaked if each in told] == []


def test_a_description_of_ones_own(sqlite_kit: Kit) -> None:
    """``description`` is the text of the answer."""
    error = _refused(sqlite_kit, *_duplicate(sqlite_kit), description="That name is taken.")
    assert error.description == "That name is taken."


def test_a_description_goes_with_503_too(sqlite_kit: Kit) -> None:
    """It replaces the text for an outage as well."""
    with (
        sqlite_kit.app.app_context(),
        _unavailable(sqlite_kit),
        pytest.raises(ServiceUnavailable, match="Come back later"),
    ):
        add_all_or_abort([sqlite_kit.Item(name="a")], description="Come back later")


def test_the_session_can_be_used_after_an_abort(kit: Kit) -> None:
    """The refused instances are gone from it, and other work goes on."""
    with kit.app.app_context():
        with pytest.raises(Conflict):
            add_all_or_abort(_duplicate(kit))
        assert list(kit.db.session.new) == []
        add_all_or_abort([kit.Item(name="b")])
    assert kit.names() == ["b"]


def test_add_all_or_abort_in_a_scope(kit: Kit) -> None:
    """Inside a scope it flushes: the owner commits all."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
        (item,) = add_all_or_abort([kit.Item(name="b")])
        assert (item.id is not None, kit.names()) == (True, [])
    assert kit.names() == ["a", "b"]


def test_an_abort_in_a_scope_rolls_the_scope_back(kit: Kit) -> None:
    """The abort leaves the scope, and with it goes what the scope had done before."""
    with kit.app.app_context(), pytest.raises(Conflict), session_manager() as session:
        session.add(kit.Item(name="before"))
        session.flush()
        add_all_or_abort(_duplicate(kit))
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_an_abort_that_a_scope_swallows(kit: Kit) -> None:
    """A swallowed abort is found at the end: nothing is stored in part."""
    with (
        kit.app.app_context(),
        pytest.raises(UnexpectedRollbackError),
        session_manager() as session,
    ):
        session.add(kit.Item(name="before"))
        with pytest.raises(Conflict):
            add_all_or_abort(_duplicate(kit))
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_an_abort_in_a_nested_scope(kit: Kit) -> None:
    """A nested scope takes the abort along, and the outer one goes on."""
    with kit.app.app_context(), session_manager() as session:
        with pytest.raises(Conflict), session_manager(propagation="nested"):
            add_all_or_abort(_duplicate(kit))
        session.add(kit.Item(name="b"))
    assert kit.names() == ["b"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_transactional_view_answers(kit: Kit, name: str) -> None:
    """In a view under ``@transactional`` the client gets the status, and the view is rolled back."""
    _store(kit, kit.Item(name="a"))

    @kit.app.route("/")
    @transactional
    def index() -> str:
        kit.db.session.add(kit.Item(name="before"))
        add_all_or_abort([kit.Item(name=name)])
        return "ok"

    assert kit.client.get("/").status_code == (409 if name == "a" else 200)
    assert kit.names() == (["a"] if name == "a" else ["a", "b", "before"])


def test_other_errors_pass(kit: Kit) -> None:
    """An error that is not the client's is raised as it is, after a rollback."""
    kit.Item.__table__.name, name = "no_such_table", kit.Item.__table__.name
    try:
        with kit.app.app_context(), pytest.raises(StatementError) as caught:
            add_all_or_abort([kit.Item(name="a")])
    finally:
        kit.Item.__table__.name = name
    assert classify(caught.value).http_status == 500
    assert kit.checkedout() == 0


def test_what_is_not_mapped_passes(sqlite_kit: Kit) -> None:
    """An instance of no mapped class is SQLAlchemy's own error; those before it are not kept."""
    with sqlite_kit.app.app_context():
        with pytest.raises(UnmappedInstanceError):
            add_all_or_abort([sqlite_kit.Item(name="a"), object()])
        assert list(sqlite_kit.db.session.new) == []
    assert sqlite_kit.names() == []


def test_an_iterable_that_fails(sqlite_kit: Kit) -> None:
    """What the iterable raises comes before the session is touched."""
    with sqlite_kit.app.app_context():
        with pytest.raises(ZeroDivisionError):
            add_all_or_abort(sqlite_kit.Item(name=str(1 // number)) for number in (1, 0))
        assert list(sqlite_kit.db.session.new) == []


def test_another_exception_of_a_flush_passes(sqlite_kit: Kit) -> None:
    """An error of the program inside the flush is rolled back and raised, outside and inside a scope."""
    for propagation in ("supports", "required"):
        with (
            sqlite_kit.app.app_context(),
            pytest.raises(RuntimeError, match="listener"),
            session_manager(propagation=propagation),
        ):
            add_all_or_abort([_Exploding.make(sqlite_kit)])
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


class _Exploding:
    """A value whose conversion fails while the flush is under way."""

    def __clause_element__(self) -> Any:
        raise RuntimeError("listener")

    @classmethod
    def make(cls, kit: Kit) -> Any:
        item = kit.Item(name="a")
        item.amount = cls()
        return item
