"""Follows the paths of a block: which commits can go, which become flushes, and where it ends without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import libcst as cst

from .doing import Work
from .files import NotSure
from .pruning import Role
from .stale import refuse_stale
from .trees import (
    ENDINGS,
    Statement,
    called_on,
    constant_return,
    dotted,
    every,
    is_exit,
    leaves_of,
    mentions,
    only,
    statements,
    suites,
)

__all__ = ["Paths", "State"]

State = bool | None
"""Whether something was written since the last commit; None where no path arrives."""

_COMPOUND = (cst.If, cst.For, cst.While, cst.Try, cst.With)
_DEFINITIONS = (cst.FunctionDef, cst.ClassDef)
_IN_LOOP = "it commits in a loop: decide whether each round is a transaction of its own"
_ROLLED_BACK = (
    "it rolls back here and goes on: 'current_scope().set_rollback_only()' is for you to place"
)


@dataclass
class Paths:
    """The paths through the statements between the beginning and the end of a session's work.

    Attributes:
        work: What is known of the session.
        kept: Names that are of use inside only, where the session is closed behind the block.
        roles: What becomes of each statement that ends the transaction.
        tail: How many statements at the end come after the last commit and need no session.
    """

    is_service: ClassVar[bool] = False
    """Whether callers go on with the session."""

    work: Work
    kept: frozenset[str] = frozenset()
    roles: dict[cst.CSTNode, Role] = field(default_factory=dict)
    tail: int = 0

    def follow(self, body: Sequence[Statement]) -> None:
        """Follow *body* to all of its ends.

        Raises:
            NotSure: If something on a path is not understood, or is written and not committed.
        """
        _refuse_escapes(body, self.work)
        self.tail = self._tail(body)
        state = self._run(body, state=False, in_loop=False)
        if state:
            self._left_open(body[-1], "what it writes is not committed on the path that ends here")
        inside = body[: len(body) - self.tail]
        self._assign(inside, ())
        refuse_stale(inside, self.work, is_service=self.is_service)

    def _tail(self, body: Sequence[Statement]) -> int:
        """Count the statements after the last commit, if none of them needs the session."""
        for index in range(len(body) - 1, -1, -1):
            if called_on(body[index], self.work.session) == "commit":
                rest = body[index + 1 :]
                return 0 if any(mentions(rest, each) for each in self.kept) else len(rest)
            if mentions(body[index], self.work.root):
                return 0
        return 0

    # --- what is written and not committed

    def _run(self, body: Sequence[Statement], state: State, *, in_loop: bool) -> State:
        for statement in body:
            if state is None:
                return None
            state = self._step(statement, state, in_loop=in_loop)
        return state

    def _step(self, statement: Statement, state: bool, *, in_loop: bool) -> State:
        ending = called_on(statement, self.work.session)
        if ending in ENDINGS:
            return self._ending(statement, ending, state, in_loop=in_loop)
        if isinstance(statement, _COMPOUND):
            return self._compound(statement, state, in_loop=in_loop)
        if not isinstance(statement, (cst.SimpleStatementLine, *_DEFINITIONS)) and mentions(
            statement, self.work.root
        ):
            raise NotSure(statement, "a statement of this kind is not followed")
        return self._simple(statement, self._after(statement, state, in_loop=in_loop))

    def _simple(self, statement: Statement, state: bool) -> State:
        if isinstance(only(statement), cst.Raise):
            return None
        if is_exit(statement):
            if state:
                self._left_open(statement, "it leaves here with changes that it does not commit")
            return None
        return state

    def _left_open(self, statement: Statement, reason: str) -> None:
        """Whoever opened the session ends it."""
        raise NotSure(statement, reason)

    def _after(self, statement: Statement, state: bool, *, in_loop: bool) -> bool:
        """Return the state after what *statement* does by itself; a service of it may commit."""
        doing = self.work.own(statement)
        if doing.commits is not None and (in_loop or isinstance(statement, cst.While)):
            raise NotSure(statement, _IN_LOOP)
        return doing.commits is None and (state or doing.writes)

    def _ending(self, statement: Statement, ending: str, state: bool, *, in_loop: bool) -> bool:
        if ending == "commit":
            if in_loop:
                raise NotSure(statement, _IN_LOOP)
            self.roles[statement] = "drop"
            return False
        if state:
            reason = (
                _ROLLED_BACK
                if ending == "rollback"
                else "it closes the session with changes that it did not commit"
            )
            raise NotSure(statement, reason)
        self.roles[statement] = "drop"
        return False

    def _compound(self, statement: Statement, state: bool, *, in_loop: bool) -> State:
        state = self._after(statement, state, in_loop=in_loop)
        if isinstance(statement, cst.If):
            return self._if(statement, state, in_loop=in_loop)
        if isinstance(statement, cst.For | cst.While):
            return self._loop(statement, state)
        if isinstance(statement, cst.Try):
            return self._try(statement, state, in_loop=in_loop)
        (suite,) = suites(statement)
        return self._run(statements(suite), state, in_loop=in_loop)

    def _if(self, statement: cst.If, state: bool, *, in_loop: bool) -> State:
        chosen = self._run(statements(statement.body), state, in_loop=in_loop)
        other = statement.orelse
        if isinstance(other, cst.If):
            return _either(chosen, self._compound(other, state, in_loop=in_loop))
        if other is None:
            return _either(chosen, state)
        return _either(chosen, self._run(statements(other.body), state, in_loop=in_loop))

    def _loop(self, statement: cst.For | cst.While, state: bool) -> State:
        once = _Loop(self.work, roles=self.roles)
        end = once.run(statements(statement.body), state)
        end = _either(end, once.run(statements(statement.body), bool(end)))
        if statement.orelse is not None:
            end = self._run(
                statements(statement.orelse.body), bool(_either(end, state)), in_loop=True
            )
        return _either(end, _either(state, once.left))

    def _try(self, statement: cst.Try, state: bool, *, in_loop: bool) -> State:
        end = self._run(statements(statement.body), state, in_loop=in_loop)
        if end is not None and statement.orelse is not None:
            end = self._run(statements(statement.orelse.body), end, in_loop=in_loop)
        dirty = state or any(
            self.work.own(each).writes for each in every(statements(statement.body))
        )
        for handler in statement.handlers:
            end = _either(end, self._run(statements(handler.body), dirty, in_loop=in_loop))
        if statement.finalbody is not None:
            after = self._run(
                statements(statement.finalbody.body), bool(end) or dirty, in_loop=in_loop
            )
            return None if end is None or after is None else end
        return end

    # --- what becomes of the commits

    def _assign(self, body: Sequence[Statement], rest: Sequence[Statement]) -> None:
        for index, statement in enumerate(body):
            following = [*body[index + 1 :], *rest]
            ending = called_on(statement, self.work.session)
            if ending == "commit":
                self.roles[statement] = self._role(statement, following)
            elif ending not in ENDINGS and self.work.own(statement).commits is not None:
                self._after_service(statement, following)
            for suite in suites(statement):
                self._assign(statements(suite), following)

    def _after_service(self, statement: Statement, following: Sequence[Statement]) -> None:
        """Make sure that nobody relies on the commit of a service that *statement* calls."""
        doing = self.work.own(statement)
        if doing.loud not in {None, doing.commits}:
            raise NotSure(doing.loud, "it may rely on the commit of a service")
        self._role(statement, () if is_exit(statement) else following)

    def _role(self, commit: Statement, following: Sequence[Statement]) -> Role:
        if not following or constant_return(following[0]):
            return "drop"
        for statement in following:
            ending = called_on(statement, self.work.session)
            if ending == "commit":
                break
            if ending in ENDINGS:
                continue
            loud = self.work.loud(statement)
            if loud is not None:
                name = self.work.file.tree.code_for_node(loud.func).strip()
                raise NotSure(loud, f"'{name}()' comes after a commit, and may rely on it")
            if is_exit(statement):
                break
        return "flush"


class _Loop(Paths):
    """The body of a loop: ``break`` and ``continue`` stay in it."""

    left: State = None

    def run(self, body: Sequence[Statement], state: bool) -> State:
        """Return the state at the end of a round."""
        return self._run(body, state, in_loop=True)

    def _simple(self, statement: Statement, state: bool) -> State:
        if isinstance(only(statement), cst.Break | cst.Continue):
            self.left = _either(self.left, state)
            return None
        return super()._simple(statement, state)


def _either(one: State, other: State) -> State:
    if one is None:
        return other
    return one or bool(other)


# --- what must stay with the block


class _Escapes(cst.CSTVisitor):
    """Finds the session where it is neither called upon nor an argument."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.arguments: set[cst.CSTNode] = set()
        self.called: set[cst.CSTNode] = set()

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        name, session = dotted(node), self.work.session
        ends = name in {f"{session}.{each}" for each in ENDINGS} and node not in self.called
        if ends or (name == session and node not in self.arguments):
            raise NotSure(node, f"'{name}' is given away here")
        if dotted(node.value) != session and not isinstance(node.value, cst.Name):
            node.value.visit(self)
        return False

    def visit_Call(self, node: cst.Call) -> None:
        self.called.add(node.func)
        self.arguments.update(each.value for each in node.args)

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        if node.value == self.work.root and node not in self.arguments:
            raise NotSure(node, f"'{node.value}' is given away here")

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        if len(node.body) > 1 and mentions(node, self.work.root):
            raise NotSure(node, "several statements stand on this line")

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        for name in map(dotted, leaves_of(node.target)):
            if name.rpartition(".")[0] == self.work.session:
                raise NotSure(node, f"it sets '{name}', and others share the session of a scope")

    def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> None:
        if mentions(node, self.work.root):
            raise NotSure(node, f"'{self.work.root}' is used behind a colon")

    def visit_Yield(self, node: cst.Yield) -> None:
        raise NotSure(node, "it yields: whoever consumes it decides how long the session lives")

    def visit_Global(self, node: cst.Global) -> None:
        self._declared(node)

    def visit_Nonlocal(self, node: cst.Nonlocal) -> None:
        self._declared(node)

    def _declared(self, node: cst.Global | cst.Nonlocal) -> None:
        if any(each.name.value == self.work.root for each in node.names):
            raise NotSure(node, f"'{self.work.root}' is not a local name")


def _refuse_escapes(body: Sequence[Statement], work: Work) -> None:
    visitor = _Escapes(work)
    for each in body:
        each.visit(visitor)
