"""The import path of an app, such as ``"shop:create_app('test')"``, which another process can follow."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from flask import Flask

from .. import errors

__all__ = ["AppPath", "parse_app_path"]

_FORMS = "Give '\"package.module:app\"', '\"package.module:create_app()\"' or the like"


@dataclass(frozen=True)
class AppPath:
    """Where an app is, or the function that makes it, as for ``flask --app``."""

    text: str
    module: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()

    def check(self) -> None:
        """Look whether it leads somewhere, without importing the module: that may make an app.

        Raises:
            NoAppError: If the module cannot be found, or is imported and has no such name.
        """
        module = sys.modules.get(self.module)
        if module is None:
            self._check_module()
        elif not (hasattr(module, self.name) or _is_loading(module)):
            raise self._wrong(f"'{self.module}' has no '{self.name}'")

    def load(self) -> Flask:
        """Import the module and take, or make, the app.

        Raises:
            TypeError: If what is there is no Flask app, and makes none.
            Exception: What the module or the function raises.
        """
        found = getattr(importlib.import_module(self.module), self.name)
        app = found(*self.args, **dict(self.kwargs)) if inspect.isfunction(found) else found
        if not isinstance(app, Flask):
            raise TypeError(f"it is {app!r}, which is no Flask app")
        return app

    def _check_module(self) -> None:
        try:
            spec = importlib.util.find_spec(self.module)
        except Exception as error:
            raise self._wrong(f"'{self.module}' cannot be imported: {error}") from error
        if spec is None:
            raise self._wrong(f"there is no module '{self.module}'")

    def _wrong(self, cause: str) -> errors.NoAppError:
        return errors.NoAppError(
            f"A worker process would find no app at {self.text!r}: {cause}. {_FORMS}, which can be imported where the "
            "workers start."
        )


def parse_app_path(text: Any) -> AppPath:
    """Read an import path.

    Raises:
        TypeError: If *text* is no string.
        ValueError: If it is not ``module:name`` or ``module:name(literal, …)``.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"'app' is {text!r}, which cannot be sent to a process. {_FORMS}: each worker makes its own app."
        )
    module, _, expression = text.partition(":")
    try:
        name, args, kwargs = _parse(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        raise ValueError(f"'app' is {text!r}. {_FORMS}, with plain literals.") from None
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"'app' is {text!r}, which names no module. {_FORMS}.")
    return AppPath(text, module, name, args, kwargs)


def _parse(node: ast.expr) -> tuple[str, tuple[Any, ...], tuple[tuple[str, Any], ...]]:
    if isinstance(node, ast.Name):
        return node.id, (), ()
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise SyntaxError  # noqa: TRY004 - it is one, of the path
    args = tuple(ast.literal_eval(each) for each in node.args)
    kwargs = tuple((str(each.arg), ast.literal_eval(each.value)) for each in node.keywords)
    return node.func.id, args, kwargs


def _is_loading(module: ModuleType) -> bool:
    """Whether *module* is still being run, so that the name may come further down."""
    spec = module.__spec__
    return spec is None or bool(getattr(spec, "_initializing", False))
