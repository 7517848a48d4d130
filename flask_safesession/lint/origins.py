"""Where a session comes from, as it is handed from function to function."""

from __future__ import annotations

from collections.abc import Iterable

from . import guesses
from .facts import Attr, Await, Call, Expression, Group, Statement, Yield
from .symbols import Class, Function, Module
from .values import (
    Database,
    External,
    Factory,
    Instance,
    Query,
    Registry,
    Result,
    Rows,
    Session,
    Value,
)
from .vocabulary import ASYNC_SESSION_CLASSES, REGISTRIES, SESSION_CLASSES
from .walk import expressions_of, statements_in

__all__ = [
    "argument_for",
    "as_session",
    "database_attribute",
    "external_type",
    "from_registry",
    "global_session",
    "held",
    "is_async_factory",
    "last_name",
    "line_of",
    "made",
    "managed",
    "moved",
    "one",
    "own_instance",
    "place_key",
    "query_result",
    "scoped",
    "yields",
]


def as_session(value: Value) -> Session | None:
    """Return *value* as a session; a registry is used like one."""
    if isinstance(value, Session):
        return value
    if isinstance(value, Registry):
        return Session(value.key, "registry", value.text)
    return None


def argument_for(call: Call, function: Function, parameter: str, *, bound: bool) -> Expression:
    """Return what *call* gives to a parameter of *function*.

    Args:
        call: The call.
        function: What is called.
        parameter: The name of the parameter.
        bound: Whether the first parameter is filled by the object that the method is called on.
    """
    for name, value in call.keywords:
        if name == parameter:
            return value
    names = function.positional[1:] if bound else function.positional
    if parameter in names:
        index = names.index(parameter)
        given = call.args[: index + 1]
        if len(given) > index and not any(
            isinstance(each, Group) and each.kind == "star" for each in given
        ):
            return given[index]
    return None


def yields(body: Iterable[Statement]) -> Iterable[Yield]:
    """Return every ``yield`` of *body* that stands alone or is assigned."""
    for statement in statements_in(body):
        for expression in expressions_of(statement):
            inner = expression.value if isinstance(expression, Await) else expression
            if isinstance(inner, Yield):
                yield inner


def own_instance(scope: Function) -> Value:
    """Return ``self`` as a method sees it."""
    return None if scope.cls is None else Instance(scope.cls)


def one(value: Rows | Query) -> Value:
    """Return one of the rows."""
    return None if value.model is None else Instance(value.model)


def last_name(func: Expression) -> str:
    """Return the last name of what is called."""
    if isinstance(func, str):
        return func.rpartition(".")[2]
    return func.name if isinstance(func, Attr) else ""


def line_of(expression: Expression) -> int:
    """Return the line of a call, 0 for anything else."""
    return expression.at.line if isinstance(expression, Call) else 0


def place_key(expression: Expression, scope: Function) -> str:
    """Return a key that only this place of the project has."""
    column = expression.at.column if isinstance(expression, Call) else 0
    return f"made|{scope.module.name}|{line_of(expression)}|{column}"


def made(call: Call, scope: Function, text: str, *, is_async: bool) -> Session:
    """Return the session that *call* makes."""
    return Session(place_key(call, scope), "made", text, scope.path, call.at.line, is_async)


def scoped(call: Call, scope: Function, text: str, *, is_async: bool = False) -> Session:
    """Return the session that a block opens and ends."""
    return Session(
        place_key(call, scope),
        "scope",
        f"{text.rpartition('.')[2]}()",
        scope.path,
        call.at.line,
        is_async,
    )


def moved(value: Value, call: Call, scope: Function) -> Value:
    """Return what a function of the project returned, as the caller's own."""
    if isinstance(value, Session) and value.origin in {"made", "unknown"}:
        return made(call, scope, f"{last_name(call.func)}()", is_async=value.is_async)
    if isinstance(value, Session) and value.origin in {"given", "injected"}:
        return None
    return value


def from_registry(registry: Registry, call: Call, scope: Function) -> Session:
    """Return the session that the call of a registry gives."""
    if registry.local:
        return made(call, scope, f"{last_name(call.func)}()", is_async=False)
    return Session(registry.key, "registry", f"{last_name(call.func)}()", scope.path, call.at.line)


def global_session(value: Value, name: str, module: Module) -> Value:
    """Return the value of a variable of a module as its functions see it."""
    if isinstance(value, Session) and not value.key:  # declared with a type, made elsewhere
        if value.text.endswith("scoped_session"):
            return Registry(f"registry|{module.name}|{name}", name, local=False)
        return Session(f"global|{module.name}|{name}", "global", name, is_async=value.is_async)
    if isinstance(value, Session) and value.origin in {"made", "unknown"}:
        return Session(
            f"global|{module.name}|{name}", "global", name, value.path, value.line, value.is_async
        )
    if isinstance(value, Session) and value.origin == "registry" and value.line:
        return Session(
            f"global|{module.name}|{name}", "global", name, value.path, value.line, value.is_async
        )
    if isinstance(value, Registry):
        return Registry(f"registry|{module.name}|{name}", name, local=False)
    if isinstance(value, Factory):
        return Factory(name, value.is_async)
    return value


def held(value: Value, cls: Class, name: str) -> Value:
    """Return the value of an attribute of ``self`` as seen from the object's methods."""
    if isinstance(value, Session) and value.origin not in {"managed", "registry", "global"}:
        origin = "held" if value.origin in {"made", "scope"} else value.origin
        return Session(
            f"self|{cls.id}|{name}",
            origin,
            f"self.{name}",
            value.path,
            value.line,
            value.is_async,
            value.parameter,
        )
    if isinstance(value, Registry) and value.local:
        return Registry(f"registry|{cls.id}|{name}", value.text, local=False)
    return value


def managed() -> Session:
    """Return the session that a Flask-SQLAlchemy object works with."""
    return Session("managed", "managed", "db.session")


def database_attribute(name: str, owner: Database) -> Value:
    """Return an attribute of a Flask-SQLAlchemy object."""
    if name == "session":
        return managed()
    if name in {"Model", "DefaultMeta"}:
        return External("sqlalchemy.orm.DeclarativeBase")
    if name in {"Session", "sessionmaker"}:
        return Factory(f"db.{name}")
    if name == "async_session":
        return Session("managed-async", "managed", "db.async_session", is_async=True)
    return Result(f"{owner.text}.{name}")


def query_result(name: str, owner: Query | Rows) -> Value:
    """Return what a method of a query gives."""
    if name in {
        "first",
        "one",
        "one_or_none",
        "get",
        "scalar_one",
        "scalar_one_or_none",
        "first_or_404",
        "get_or_404",
        "one_or_404",
        "scalar",
    }:
        return one(owner) or Result("row")
    if name in {"count", "exists", "delete", "update", "rowcount"}:
        return Result("number")
    if name in {"all", "scalars", "yield_per", "unique", "partitions", "fetchall"}:
        return Rows(owner.session, owner.model)
    return owner


def is_async_factory(path: str, call: Call) -> bool:
    """Whether the factory makes async sessions."""
    if path.endswith("async_sessionmaker"):
        return True
    return any(
        isinstance(value, str) and "AsyncSession" in value
        for value in [*call.args, *(v for _, v in call.keywords)]
    )


def external_type(path: str) -> Value:
    """Return what an annotation of another package means."""
    if path in SESSION_CLASSES or path in REGISTRIES:
        return Session("", "given", path.rpartition(".")[2])
    if path in ASYNC_SESSION_CLASSES:
        return Session("", "given", "AsyncSession", is_async=True)
    return guesses.external_type(path) or Result(path)
