"""What is kept of a file: its imports, classes and functions, as a small language of statements and expressions.

A name with attributes is a plain string (``"db.session.add"``), and whatever can hold no call is None. So a function
takes a fraction of the memory of its syntax tree, and it can be pickled, cached and sent from one process to another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Union

__all__ = [
    "Assign",
    "Attr",
    "Await",
    "Call",
    "ClassFacts",
    "Const",
    "Def",
    "Expression",
    "ExpressionStatement",
    "For",
    "FunctionFacts",
    "Group",
    "Handler",
    "If",
    "Jump",
    "ModuleFacts",
    "Parameter",
    "Place",
    "Raise",
    "Return",
    "Statement",
    "Try",
    "While",
    "With",
    "Yield",
]


class Place(NamedTuple):
    """Where something is in its file: lines from 1, columns from 0, as in ``ast``."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(slots=True, eq=False)
class Call:
    """A call; each is an object of its own, so that what is learnt of it can be kept by identity."""

    func: Expression
    args: tuple[Expression, ...]
    keywords: tuple[tuple[str | None, Expression], ...]
    at: Place


@dataclass(slots=True, eq=False)
class Attr:
    """An attribute of something that is no plain name, for example of a call's result."""

    value: Expression
    name: str


@dataclass(slots=True, eq=False)
class Const:
    """A literal: None, a number or a string."""

    value: object


@dataclass(slots=True, eq=False)
class Group:
    """Several expressions that belong together; *kind* says how.

    Kinds: ``tuple`` (also lists and sets), ``dict``, ``star``, ``item`` (``a[b]``), ``either`` (``a or b``,
    ``a if c else b``), ``comp`` (element first), ``mod`` (``a % b``), ``lambda``, ``formatted`` (an f-string: how it
    begins, and the rest) and ``other``.
    """

    kind: str
    items: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Await:
    """``await value``."""

    value: Expression


@dataclass(slots=True, eq=False)
class Yield:
    """``yield value`` or ``yield from value``."""

    value: Expression
    at: Place


Expression = Union[str, Call, Attr, Const, Group, Await, Yield, "FunctionFacts", None]


@dataclass(slots=True, eq=False)
class ExpressionStatement:
    """An expression that stands alone."""

    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class Assign:
    """``a = b = value``, ``a: annotation = value`` or ``a += value``."""

    targets: tuple[Expression, ...]
    value: Expression
    annotation: Expression
    line: int


@dataclass(slots=True, eq=False)
class Return:
    """``return value``."""

    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class Raise:
    """``raise value``."""

    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class Jump:
    """``break`` or ``continue``."""

    kind: str
    line: int


@dataclass(slots=True, eq=False)
class If:
    """An ``if``; ``match`` becomes a chain of them."""

    test: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    line: int


@dataclass(slots=True, eq=False)
class For:
    """A ``for`` or ``async for``."""

    target: Expression
    iterable: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    line: int


@dataclass(slots=True, eq=False)
class While:
    """A ``while``; *forever* where its test is a true literal."""

    test: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    forever: bool
    line: int


@dataclass(slots=True, eq=False)
class Handler:
    """One ``except``; no types at all mean a bare one.

    *name* is what the exception is called there. ``with suppress(…)`` is one with an empty body, and *suppress* is the
    name that it is called by.
    """

    types: tuple[Expression, ...]
    body: tuple[Statement, ...]
    at: Place
    name: str = ""
    suppress: str = ""


@dataclass(slots=True, eq=False)
class Try:
    """A ``try`` with all its parts."""

    body: tuple[Statement, ...]
    handlers: tuple[Handler, ...]
    orelse: tuple[Statement, ...]
    final: tuple[Statement, ...]
    line: int


@dataclass(slots=True, eq=False)
class With:
    """A ``with`` or ``async with``: pairs of context manager and target."""

    items: tuple[tuple[Expression, Expression], ...]
    body: tuple[Statement, ...]
    line: int


@dataclass(slots=True, eq=False)
class Def:
    """The place where a function is defined inside another body."""

    function: FunctionFacts
    line: int


Statement = (
    ExpressionStatement | Assign | Return | Raise | Jump | If | For | While | Try | With | Def
)


class Parameter(NamedTuple):
    """One parameter; *kind* is ``""``, ``"*"`` or ``"**"``."""

    name: str
    annotation: Expression
    default: Expression
    kind: str


@dataclass(slots=True, eq=False)
class FunctionFacts:
    """A function, a lambda or a body of a module or class."""

    name: str
    qualname: str
    at: Place
    parameters: tuple[Parameter, ...] = ()
    decorators: tuple[Expression, ...] = ()
    returns: Expression = None
    body: tuple[Statement, ...] = ()
    imports: dict[str, str] = field(default_factory=dict)
    outer_names: frozenset[str] = frozenset()
    is_async: bool = False
    is_generator: bool = False
    owner: str = ""
    nested: tuple[FunctionFacts, ...] = ()


@dataclass(slots=True, eq=False)
class ClassFacts:
    """A class: its bases, methods, and the assignments of its body."""

    name: str
    qualname: str
    at: Place
    bases: tuple[Expression, ...]
    decorators: tuple[Expression, ...]
    methods: dict[str, FunctionFacts]
    body: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class ModuleFacts:
    """A file.

    Attributes:
        path: Relative to the root of the run, with forward slashes.
        name: The dotted name, as far as the packages around the file tell.
        error: Why the file could not be read, with its place; empty where it could.
        wired: What it wires with this package, see :mod:`.wiring`.
    """

    path: str
    name: str
    is_package: bool = False
    imports: dict[str, str] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    classes: dict[str, ClassFacts] = field(default_factory=dict)
    functions: dict[str, FunctionFacts] = field(default_factory=dict)
    body: FunctionFacts | None = None
    error: str = ""
    error_line: int = 1
    wired: frozenset[str] = frozenset()
