"""From a database error to what it means: category, code, HTTP status, and whether a new try may help."""

from .reading import classify
from .table import Fault

__all__ = ["Fault", "classify"]
