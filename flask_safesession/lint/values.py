"""What an expression can be, as far as the rules care."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Union

if TYPE_CHECKING:
    from .facts import Call
    from .symbols import Class, Function, Module

__all__ = [
    "ENDS_WITH_ITS_CONTEXT",
    "ClassValue",
    "Database",
    "External",
    "Factory",
    "FunctionValue",
    "Instance",
    "ModuleValue",
    "Origin",
    "Query",
    "Registry",
    "Result",
    "Rows",
    "Session",
    "Value",
]

Origin = Literal[
    "given", "injected", "managed", "registry", "global", "made", "scope", "held", "unknown"
]

# Whoever uses such a session neither made it nor has to end it: the framework does.
ENDS_WITH_ITS_CONTEXT = frozenset({"managed", "registry", "injected"})


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    Attributes:
        key: Equal for two expressions that mean the same session.
        origin: Where it comes from.
        text: What the reader sees at its origin, for example ``SessionLocal()``.
        path: The file of its origin.
        line: The line of its origin, 0 where that is unknown.
        is_async: Whether it is an ``AsyncSession``.
        parameter: The parameter that brought it, of the function or of the constructor.
    """

    key: str
    origin: Origin
    text: str
    path: str = ""
    line: int = 0
    is_async: bool = False
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Factory:
    """Something whose call makes a session."""

    text: str
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """A ``scoped_session``."""

    key: str
    text: str
    local: bool


@dataclass(frozen=True, slots=True)
class Database:
    """Flask-SQLAlchemy's extension object, or one like it."""

    text: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was not run yet."""

    session: Session | None
    model: Class | None


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query returned: many, or a result to read them from."""

    session: Session | None
    model: Class | None


@dataclass(frozen=True, slots=True)
class External:
    """A name of a package that is not among the files."""

    path: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a call of such a name returned."""

    path: str


@dataclass(frozen=True, slots=True)
class ModuleValue:
    """One of the files."""

    module: Module


@dataclass(frozen=True, slots=True)
class ClassValue:
    """A class of the project."""

    cls: Class


@dataclass(frozen=True, slots=True)
class FunctionValue:
    """A function of the project, with what it is bound to."""

    function: Function
    receiver: Value = None


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of the project, with the call that made it where that was seen."""

    cls: Class
    call: Call | None = None
    scope: Function | None = None


Value = Union[  # noqa: UP007 - it refers to itself
    Session,
    Factory,
    Registry,
    Database,
    Query,
    Rows,
    External,
    Result,
    ModuleValue,
    ClassValue,
    FunctionValue,
    Instance,
    None,
]
