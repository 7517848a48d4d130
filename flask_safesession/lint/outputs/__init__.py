"""The forms in which a report is given out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..report import Report
from . import github, html, json, sarif, text

__all__ = ["FORMATS", "html", "text"]

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": text.render,
    "json": json.render,
    "sarif": sarif.render,
    "github": github.render,
}
