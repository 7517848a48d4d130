"""What a commit makes a session read again, and a flush does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import libcst as cst

from ..analysis import Analysis
from ..facts import Assign, Call, Const
from ..origins import last_name
from .calling import last
from .doing import Work
from .files import NotSure
from .trees import ENDINGS, Statement, called_on, dotted

__all__ = ["refuse_stale"]

_RELATIONS = frozenset({"relationship", "Relationship", "dynamic_loader", "relation"})
_UNTRACKED = frozenset({"bulk_save_objects", "bulk_update_mappings"})
_CURRENT = "current_user"


def refuse_stale(body: Iterable[Statement], work: Work, *, is_service: bool = False) -> None:
    """Make sure that no instance is read which a commit expires, and which a flush leaves as it was loaded.

    Args:
        body: The statements of a block, view or service.
        work: What is known of their session.
        is_service: Whether callers may read instances when the body has ended.

    Raises:
        NotSure: If one is.
    """
    course = _Course(work, _relations(work.analysis))
    for statement in body:
        statement.visit(course)
    if is_service and course.flushed and course.untracked is not None:
        raise NotSure(course.untracked, _unseen("its callers may have loaded"))


def _unseen(who: str) -> str:
    return (
        f"it writes past the instances that {who}: a commit makes them read again, a flush does not"
    )


@lru_cache(maxsize=1)
def _relations(analysis: Analysis) -> frozenset[str]:
    """Return the attributes of all models that lead to other instances, those of backrefs included."""
    found: set[str] = set()
    classes = (cls for each in analysis.project.modules for cls in each.classes.values())
    for cls in classes:
        for statement in cls.facts.body:
            if not isinstance(statement, Assign) or not isinstance(statement.value, Call):
                continue
            if last_name(statement.value.func) in _RELATIONS:
                found.update(each for each in statement.targets if isinstance(each, str))
                found.update(_backrefs(statement.value))
    return frozenset(found)


def _backrefs(relation: Call) -> Iterable[str]:
    for name, value in relation.keywords:
        if name == "backref":
            first = value.args[0] if isinstance(value, Call) and value.args else value
            if isinstance(first, Const) and isinstance(first.value, str):
                yield first.value


@dataclass
class _Course(cst.CSTVisitor):
    """Goes through a body in the order in which it is written.

    Attributes:
        work: What is known of the session.
        relations: The attributes that lead to other instances.
        flushed: Whether a commit was passed: it becomes a flush, or comes after the body.
        untracked: A write that changes rows, and not the instances of them.
        linked: Whether a row was deleted, or linked to another by its number.
        loaded: The names, and the relations of names, that were used.
        stale: Those of them that a commit would have made the session read again.
    """

    work: Work
    relations: frozenset[str]
    flushed: bool = False
    untracked: cst.CSTNode | None = None
    linked: bool = False
    loaded: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def leave_SimpleStatementLine(self, original_node: cst.SimpleStatementLine) -> None:
        ending = called_on(original_node, self.work.session)
        by_service = ending not in ENDINGS and self.work.own(original_node).commits is not None
        if by_service or ending == "commit":
            self.flushed = True
            if self.untracked is not None:
                self.stale |= {each for each in self.loaded if "." not in each}
            if self.linked or by_service:
                self.stale |= {each for each in self.loaded if "." in each}

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_Assign(self, node: cst.Assign) -> None:
        if self._is_untracked(node.value):
            self._texts.update(map(dotted, (each.target for each in node.targets)))

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        if isinstance(node.target, cst.Attribute):
            self.linked |= node.target.attr.value.endswith("_id")

    def visit_Call(self, node: cst.Call) -> None:
        method = last(node.func)
        names = {each.keyword.value for each in node.args if each.keyword is not None}
        self.linked |= method == "delete" or any(each.endswith("_id") for each in names)
        sent = [each.value for each in node.args] if self._is_on_session(node) else []
        if method in _UNTRACKED or _gives_up_tracking(node) or any(map(self._is_untracked, sent)):
            self.untracked = self.untracked or node
        if isinstance(node.func, cst.Attribute) and isinstance(node.func.value, cst.Name):
            self.visit_Name(node.func.value)  # a method may read all that its instance has

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        base, name = dotted(node.value), node.attr.value
        if base in {*self.work.rows, _CURRENT}:
            self._use(node, f"{base}.{name}" if name in self.relations else "", base)
        else:
            node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in {*self.work.rows, _CURRENT}:
            related = sorted(each for each in self.stale if each.startswith(f"{node.value}."))
            self._use(node, next(iter(related), ""), node.value)

    def _use(self, node: cst.CSTNode, relation: str, name: str) -> None:
        if relation in self.stale:
            reason = (
                f"'{relation}' was loaded before: a commit makes it read again, a flush does not"
            )
            raise NotSure(node, reason)
        if name in self.stale and self.untracked is not None:
            raise NotSure(self.untracked, _unseen(f"'{name}' holds"))
        self.loaded.update({name, relation} - {""})

    def _is_on_session(self, node: cst.Call) -> bool:
        return isinstance(node.func, cst.Attribute) and dotted(node.func.value) == self.work.session

    def _is_untracked(self, value: cst.BaseExpression) -> bool:
        """Whether *value* is a statement in SQL, or one on a table rather than on a model, that writes."""
        if isinstance(value, cst.Name):
            return value.value in self._texts
        is_text = isinstance(value, cst.Call) and last(value.func) == "text"
        on_table = "__table__" in self.work.file.tree.code_for_node(value)
        return (is_text or on_table) and not self.work.names.selects(value)


def _gives_up_tracking(node: cst.Call) -> bool:
    """Whether it has ``synchronize_session=False``."""
    return any(
        each.keyword is not None
        and each.keyword.value == "synchronize_session"
        and isinstance(each.value, cst.Name)
        and each.value.value == "False"
        for each in node.args
    )
