"""Which classes are mapped to tables, and which derive from a class of another package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guesses
from .symbols import Class
from .values import External, Result
from .vocabulary import MODEL_BASE_MAKERS, MODEL_BASES

if TYPE_CHECKING:
    from .evaluate import Evaluator

__all__ = ["Models"]


class Models:
    """Knows the ancestry of classes.

    Args:
        evaluator: Evaluates what is not its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._models: dict[str, bool] = {}

    def derives(self, cls: Class, names: frozenset[str]) -> bool:
        """Whether *cls* has one of these classes of other packages among its bases."""
        for each in self.evaluator.project.ancestry(cls):
            for base in self.evaluator.project.bases(each):
                if isinstance(base, External) and base.path in names:
                    return True
        return False

    def is_model(self, cls: Class) -> bool:
        """Whether *cls* is mapped to a table."""
        if cls.id not in self._models:
            self._models[cls.id] = False
            self._models[cls.id] = any(
                self._maps(each) for each in self.evaluator.project.ancestry(cls)
            )
        return self._models[cls.id]

    def _maps(self, cls: Class) -> bool:
        if (
            "__tablename__" in cls.body_bindings
            or "__table__" in cls.body_bindings
            or "__abstract__" in cls.body_bindings
        ):
            return True
        for base in cls.facts.bases:
            value = self.evaluator.value(base, cls.module.body)
            if isinstance(value, External) and (
                value.path in MODEL_BASES or guesses.is_model_base(value.path)
            ):
                return True
            if isinstance(value, Result) and value.path in MODEL_BASE_MAKERS:
                return True
        return False
