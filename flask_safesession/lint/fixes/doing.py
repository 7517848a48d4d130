"""What the statements of a block do, as far as it matters to moving a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import libcst as cst

from ..analysis import Analysis
from ..effects import Action, Effect
from ..facts import Call
from ..symbols import Function
from ..values import ClassValue, External, Instance, Query, Result, Rows, Session
from .bound import Names
from .calling import in_chain, is_quiet_call, last, loads
from .enders import Enders
from .files import File, NotSure
from .silence import Silence
from .trees import ENDINGS, Statement, called_on, dotted, leaves_of, mentions

__all__ = ["Doing", "Work"]

_READS = frozenset(
    {
        "query",
        "get",
        "get_one",
        "scalar",
        "scalars",
        "refresh",
        "exec",
        "execute",
        "expunge",
        "flush",
    }
)
_SENT = frozenset({"execute", "exec", "scalar", "scalars"})
_WRITES = frozenset({"add", "add_all", "delete", "merge", "begin_nested"})
_BULK = frozenset({"bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings"})
_CHAIN_WRITES = frozenset({"update", "delete", "insert"})
_OTHER_SESSION = re.compile(r"\bsession\.\w+$")


@dataclass(frozen=True)
class Doing:
    """What an expression or statement does.

    Attributes:
        writes: Something may be stored by a commit that comes after it.
        loud: A call that somebody outside may notice; None where there is none.
        commits: A call of a service that commits.
    """

    writes: bool = False
    loud: cst.Call | None = None
    commits: cst.Call | None = None


@dataclass
class Work:
    """What is known of the session of one block or view.

    Attributes:
        file: Where it is.
        analysis: What the checker knows.
        session: How the code calls the session, ``db`` or ``db.session``.
        key: How the checker calls it.
        enders: Functions that end a transaction which they did not begin.
        names: What its local names may hold.
        silence: Which calls nobody notices.
    """

    file: File
    analysis: Analysis
    session: str
    key: str
    enders: Enders
    names: Names = field(init=False)
    silence: Silence = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.root, self.file.tree)
        self.silence = Silence(self.analysis)

    @property
    def root(self) -> str:
        """The variable of the session."""
        return self.session.partition(".")[0]

    def learn(self, function: cst.FunctionDef) -> None:
        """Learn what the names of *function* may hold."""
        known = self.file.function(function)
        self.names.learn(function, lambda name: self._is_plain_class(name, known), self.gives_rows)

    def gives_rows(self, node: cst.Call) -> bool:
        """Whether the checker knows that a call gives instances, or a query of some."""
        known = self.file.call(node)
        evaluator = self.analysis.evaluator
        value = None if known is None else evaluator.called(known[1], known[0])
        if isinstance(value, Instance):
            return evaluator.is_model(value.cls)
        return isinstance(value, Query | Rows)

    def _is_plain_class(self, name: str, function: Function | None) -> bool:
        """Whether *name* is a class of the project that is not mapped to a table."""
        evaluator = self.analysis.evaluator
        value = None if function is None else evaluator.named(name, function)
        return isinstance(value, ClassValue) and not evaluator.is_model(value.cls)

    @property
    def rows(self) -> set[str]:
        """The names that may hold instances."""
        return self.names.rows

    # --- statements

    def own(self, statement: Statement) -> Doing:
        """Return what *statement* does by itself, without its suites."""
        return _Own(self).enter(statement)

    def loud(self, statement: Statement) -> cst.Call | None:
        """Return a call in *statement*, its suites included, that somebody outside may notice."""
        return _Own(self, deep=True).enter(statement).loud

    # --- calls

    def call(self, node: cst.Call) -> Doing:
        """Return what one call does.

        Raises:
            NotSure: If it may do something to the session that nobody sees.
        """
        method = self._method(node)
        if method:
            return self._direct(node, method)
        known = self.file.call(node)
        action = None if known is None else self.analysis.effects.action(known[1], known[0])
        if known is not None and action is not None and action.callees:
            return self._callee(node, *known, action.callees)
        if self._given(node) and not loads(node):
            name = self._text(node.func)
            raise NotSure(
                node,
                f"'{name}()' gets the session and is not among these files: it may end the "
                "transaction",
            )
        if (
            _OTHER_SESSION.search(dotted(node.func))
            and action is not None
            and action.session is None
            and not (known and self._is_foreign(*known))
        ):
            raise NotSure(node, f"'{dotted(node.func)}()' may work on another session")
        if in_chain(node, self.root):
            return Doing(writes=last(node.func) in _CHAIN_WRITES)
        if action is not None and action.session is not None:
            return (
                self._same(node, action)
                if action.session.key == self.key
                else self._other(node, action.session)
            )
        if known is None or not self._is_foreign(*known):
            self.enders.refuse_name(node, last(node.func))
        is_silent = is_quiet_call(node) or (
            known is not None and self.silence.call(known[1], known[0])
        )
        return Doing(writes=self._touches_rows(node), loud=None if is_silent else node)

    def _is_foreign(self, scope: Function, call: Call) -> bool:
        """Whether what is called belongs to a package that is not among the files."""
        value = self.analysis.evaluator.value(call.func, scope)
        owner = self.analysis.effects.owner(call.func, scope)
        return isinstance(value, External | Result) or isinstance(owner, Instance)

    @staticmethod
    def _same(node: cst.Call, action: Action) -> Doing:
        """Return what is done to the session by another of its names, or by a query of its models."""
        if action.effect & (Effect.ENDS | Effect.BEGIN):
            raise NotSure(node, f"'{dotted(node.func)}()' ends the transaction by another name")
        return Doing(writes=bool(action.effect & (Effect.WRITE | Effect.FLUSH)))

    @staticmethod
    def _other(node: cst.Call, other: Session) -> Doing:
        if other.origin not in {"made", "scope"}:
            raise NotSure(node, f"it works on '{other.text}' as well")
        return Doing()

    def _method(self, node: cst.Call) -> str:
        if isinstance(node.func, cst.Attribute) and dotted(node.func.value) == self.session:
            return node.func.attr.value
        return ""

    def _direct(self, node: cst.Call, method: str) -> Doing:
        if method in _WRITES or method in _BULK:
            return Doing(writes=True)
        if method in _SENT:
            reads = bool(node.args) and self.names.selects(node.args[0].value)
            return Doing(writes=not reads)
        if method in _READS:
            return Doing()
        raise NotSure(node, f"'{self.session}.{method}()' has no place in a scope")

    def _callee(
        self, node: cst.Call, scope: Function, call: Call, callees: tuple[Function, ...]
    ) -> Doing:
        effects = self.analysis.effects
        writes = ends = False
        for session, effect in effects.on(call, scope):
            if session.key == self.key:
                writes |= bool(effect & (Effect.WRITE | Effect.FLUSH))
                ends |= bool(effect & Effect.ENDS)
            elif session.origin not in {"made", "scope"}:
                raise NotSure(
                    node, f"'{self._text(node.func)}()' works on '{session.text}' as well"
                )
        if ends:
            self.enders.refuse_callees(node, callees)
        elif self._given(node):
            self.enders.refuse_parameters(node, callees)
        loud = None if self.silence.call(call, scope) else node
        return Doing(writes or self._touches_rows(node), loud, node if ends else None)

    def _given(self, node: cst.Call) -> bool:
        return any(dotted(each.value) == self.session for each in node.args)

    def _touches_rows(self, node: cst.Call) -> bool:
        if is_quiet_call(node):
            return False
        owner = node.func.value if isinstance(node.func, cst.Attribute) else None
        parts = [each.value for each in node.args] + ([] if owner is None else [owner])
        return any(isinstance(each, cst.Name) and each.value in self.rows for each in parts)

    def _text(self, node: cst.BaseExpression) -> str:
        return dotted(node) or last(node)


class _Own(cst.CSTVisitor):
    """Adds up the calls and assignments of one statement."""

    def __init__(self, work: Work, *, deep: bool = False) -> None:
        self.work = work
        self.deep = deep
        self.doing = Doing()

    def enter(self, statement: Statement) -> Doing:
        """Return what *statement* does."""
        if isinstance(statement, cst.FunctionDef | cst.ClassDef):
            self._closed(statement)
            return self.doing
        if isinstance(statement, cst.For):
            self._assigned(statement.target)
        for child in statement.children:
            child.visit(self)
        return self.doing

    def _take(self, other: Doing) -> None:
        mine = self.doing
        loud, commits = mine.loud or other.loud, mine.commits or other.commits
        self.doing = Doing(mine.writes or other.writes, loud, commits)

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:
        return called_on(node, self.work.session) not in ENDINGS

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> bool:
        return self.deep

    def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> bool:
        return self.deep

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        return self._closed(node)

    def _closed(self, node: cst.CSTNode) -> bool:
        if mentions(node, self.work.root):
            raise NotSure(node, f"a function inside uses '{self.work.session}', and may outlive it")
        return False

    def visit_Call(self, node: cst.Call) -> None:
        self._take(self.work.call(node))

    def visit_AssignTarget_target(self, node: cst.AssignTarget) -> None:
        self._assigned(node.target)

    def visit_AugAssign_target(self, node: cst.AugAssign) -> None:
        self._assigned(node.target)

    def visit_AnnAssign_target(self, node: cst.AnnAssign) -> None:
        self._assigned(node.target)

    def visit_Del(self, node: cst.Del) -> None:
        self._assigned(node.target)

    def visit_CompFor_target(self, node: cst.CompFor) -> None:
        self._assigned(node.target)

    def visit_AsName_name(self, node: cst.AsName) -> None:
        self._assigned(node.name)

    def _assigned(self, target: cst.CSTNode) -> None:
        for each in leaves_of(target):
            self._take(Doing(writes=self._is_write(each)))

    def _is_write(self, target: cst.CSTNode) -> bool:
        if isinstance(target, cst.Attribute):
            return dotted(target).partition(".")[0] not in self.work.names.plain
        if not isinstance(target, cst.Subscript):
            return False
        named = target.value
        return not isinstance(named, cst.Name) or named.value in self.work.rows
