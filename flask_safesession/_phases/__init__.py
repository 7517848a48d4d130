"""``run_in_phases()``: a long job as two short scopes, with no connection held between them."""

from .result import Execute, PhaseResult, Prepare, Record
from .running import AwaitedExecute, AwaitedPrepare, AwaitedRecord, phases, run_in_phases

__all__ = [
    "AwaitedExecute",
    "AwaitedPrepare",
    "AwaitedRecord",
    "Execute",
    "PhaseResult",
    "Prepare",
    "Record",
    "phases",
    "run_in_phases",
]
