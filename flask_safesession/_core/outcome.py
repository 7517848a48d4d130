"""How a transaction ended."""

from enum import Enum

__all__ = ["COMMITTED", "Outcome"]


class Outcome(str, Enum):
    """``unknown``: the connection broke during COMMIT, and nobody learned its fate."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


# As in states.py: nearly every transaction ends like this.
COMMITTED = Outcome.COMMITTED
