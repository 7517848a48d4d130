"""What a name alone tells, for names that nothing else explains: files outside the run, parameters without types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .values import Session, Value
from .vocabulary import (
    DATABASE_NAME,
    FACTORY_NAME,
    GETTER_NAME,
    OTHER_SESSIONS,
    SESSION_NAME,
    TELLING_METHODS,
)

if TYPE_CHECKING:
    from .facts import Parameter, Place
    from .symbols import Function

__all__ = [
    "external_result",
    "external_type",
    "is_awaited",
    "is_database_name",
    "is_getter",
    "is_model_base",
    "is_session_attribute",
    "is_session_parameter",
    "managed_session",
]

_SESSION_TYPE = re.compile(
    r"^(?:Async)?(?:Db|DB|Database|Sql|SQL|SQLA)?Session(?:Dep|Depends|Dependency|Type|T)?$|^(?:Async)?(?:Db|DB)Dep$"
)
_SURE_NAME = re.compile(
    r"^_?(?:db_?session|async_?db_?session|sqla_?session|sql_?session|orm_?session)$", re.IGNORECASE
)
_DATABASE_WORD = re.compile(
    r"(?:^|[._])(?:db|database|databases|sql|sqla|sqlalchemy|orm|models?|storage|extensions?|dal|persistence)(?:[._]|$)"
)
# Methods of sessions and connections that have nothing to do with SQLAlchemy's.
_FOREIGN_METHODS = frozenset(
    {
        "client",
        "commit_transaction",
        "cookies",
        "cursor",
        "discard",
        "executemany",
        "executescript",
        "fetchall",
        "fetchone",
        "find_one",
        "get_server",
        "headers",
        "hset",
        "httpx",
        "insert_one",
        "items",
        "keys",
        "list_tools",
        "mount",
        "options",
        "patch",
        "pop",
        "post",
        "prepare",
        "publish",
        "put",
        "put_item",
        "render",
        "request",
        "resource",
        "run",
        "sadd",
        "send",
        "setdefault",
        "setex",
        "sql",
        "start_transaction",
        "update",
        "values",
        "with_transaction",
        "write",
        "xadd",
    }
)


def is_session_parameter(parameter: Parameter, scope: Function) -> bool:
    """Whether a parameter without a type is a session, by its name and by what is called on it."""
    name = parameter.name
    uses = scope.uses.get(name, set())
    if uses & _FOREIGN_METHODS or parameter.kind in {"*", "**"}:
        return False
    if _SURE_NAME.match(name):
        return True
    if SESSION_NAME.search(name):
        return (
            bool(uses & TELLING_METHODS)
            or "commit" in uses
            or {"add"} <= uses
            or {"execute", "close"} <= uses
        )
    if DATABASE_NAME.search(name) or name in {"s", "sess", "dbs", "tx"}:
        return len(uses & TELLING_METHODS - {"query"}) >= 1 and bool(
            uses & {"add", "commit", "execute", "query"}
        )
    return False


def is_awaited(name: str, scope: Function) -> bool:
    """Whether the methods of *name* are likely those of an ``AsyncSession``."""
    return scope.facts.is_async and name in scope.uses


def is_session_attribute(name: str, uses: set[str]) -> bool:
    """Whether ``self.name`` is a session, by its name and by what is called on it."""
    if uses & _FOREIGN_METHODS:
        return False
    last = name.rpartition(".")[2]
    return bool(SESSION_NAME.search(last)) and bool(uses & (TELLING_METHODS | {"commit"}))


def is_database_name(path: str) -> bool:
    """Whether a name of another file is a Flask-SQLAlchemy object by its name."""
    return (
        bool(DATABASE_NAME.search(path.rpartition(".")[2]))
        and path.partition(".")[0] not in OTHER_SESSIONS
    )


def managed_session(dotted: str) -> Value:
    """Return the session that ``db.session`` is where nothing is known of ``db``."""
    owner = dotted.rpartition(".")[0]
    if owner.rpartition(".")[2] in {"db", "_db", "database"} and not owner.startswith("cls."):
        return Session("managed", "managed", dotted)
    return None


def is_getter(path: str) -> bool:
    """Whether a function of another file returns a session, by its name."""
    root, _, _ = path.partition(".")
    last = path.rpartition(".")[2]
    if root in OTHER_SESSIONS:
        return False
    return bool(GETTER_NAME.match(last)) or last in {
        "session_scope",
        "session_manager",
        "create_session",
        "get_db",
        "session_context",
        "db_session_scope",
        "transaction_session",
    }


def external_result(path: str, at: Place, scope: Function) -> Value:
    """Return what the call of a function of another file gives, as far as its name tells."""
    root, _, _ = path.partition(".")
    last = path.rpartition(".")[2]
    if root in OTHER_SESSIONS or "." not in path:
        return None
    line = at.line
    key = f"made|{scope.module.name}|{line}|{at.column}"
    is_class = last != last.lower()  # other things have a 'session_factory()' as well
    is_ours = is_class or bool(_DATABASE_WORD.search(path.rpartition(".")[0]))
    if is_ours and FACTORY_NAME.match(last) and last not in {"ClientSession", "AuthorizedSession"}:
        return Session(
            key, "made", f"{last}()", scope.path, line, last.startswith("Async") or "async" in last
        )
    if last in {"Session", "AsyncSession"} and _DATABASE_WORD.search(path.rpartition(".")[0]):
        return Session(key, "made", f"{last}()", scope.path, line, last == "AsyncSession")
    if is_getter(path) and last != "get_db" and _DATABASE_WORD.search(path):
        return Session(key, "unknown", f"{last}()", scope.path, line)
    return None


def external_type(path: str) -> Value:
    """Return what an annotation from another file means, as far as its name tells."""
    root, _, _ = path.partition(".")
    last = path.rpartition(".")[2]
    if root in OTHER_SESSIONS or not _SESSION_TYPE.match(last):
        return None
    injected = "Dep" in last or last not in {"Session", "AsyncSession"}
    return Session("", "injected" if injected else "given", last, is_async=last.startswith("Async"))


def is_model_base(path: str) -> bool:
    """Whether a base class of another file maps to a table, by its name."""
    root, _, _ = path.partition(".")
    last = path.rpartition(".")[2]
    if root in OTHER_SESSIONS or root in {
        "django",
        "pydantic",
        "marshmallow",
        "tortoise",
        "peewee",
        "odoo",
        "torch",
        "keras",
        "mongoengine",
    }:
        return False
    if path.endswith(("db.Model", "database.Model", ".DeclarativeBase")):
        return True
    return last == "Base" and bool(_DATABASE_WORD.search(path))
