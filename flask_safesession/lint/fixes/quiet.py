"""Calls that neither wait nor tell anybody: whether the commit comes before or after them is all the same."""

from __future__ import annotations

import re

__all__ = ["CLASS", "PLAIN_CLASS", "PURE_MODULES", "is_quiet"]

PURE_MODULES = frozenset(
    {
        "base64", "collections", "copy", "datetime", "decimal", "functools", "hashlib", "html", "itertools", "json",
        "math", "operator", "re", "secrets", "string", "textwrap", "time", "urllib", "uuid", "flask_babel",
    }
)  # fmt: skip
_QUIET_NAMES = frozenset(
    {
        "_", "abort", "all", "any", "bool", "dict", "enumerate", "flash", "float", "getattr", "gettext",
        "hasattr", "int", "isinstance",
        "jsonify", "len", "list", "make_response", "max", "min", "print", "range", "redirect",
        "render_template", "repr",
        "round", "select", "set", "sorted", "str", "sum", "text", "tuple", "url_for", "zip",
    }
)  # fmt: skip
_QUIET_METHODS = frozenset(
    {
        "append",
        "as_dict", "critical", "debug", "dict", "dump", "error", "exception", "extend", "format", "from_orm",
        "get", "info", "isoformat", "items", "join", "keys", "log", "lower", "model_dump", "model_validate", "now",
        "serialize", "setdefault", "split", "startswith", "strftime", "strip", "title", "to_dict", "to_json", "upper",
        "utcnow", "uuid4", "validate", "validate_on_submit", "values", "warning",
    }
)  # fmt: skip
CLASS = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*$")
PLAIN_CLASS = re.compile(r"\w+(?:Form|Schema|Serializer|Validator)$")


def is_quiet(name: str, *, plain: bool) -> bool:
    """Whether a call of *name* is one; *plain* names are called without an owner."""
    return (plain and name in _QUIET_NAMES) or name in _QUIET_METHODS or bool(CLASS.match(name))
