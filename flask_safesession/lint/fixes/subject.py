"""The function that is rewritten, and what has to be known for it."""

from __future__ import annotations

from dataclasses import dataclass

from ..symbols import Function
from .files import File, Files
from .surroundings import Surroundings

__all__ = ["Subject"]


@dataclass
class Subject:
    """What the rewriting of one function starts from.

    Args:
        files: The project.
        file: The file of the function.
        function: What the checker knows of it.
        surroundings: What the project says about where it is called.
        services: The functions whose commit becomes a flush at the same time.
    """

    files: Files
    file: File
    function: Function
    surroundings: Surroundings
    services: frozenset[str] = frozenset()
