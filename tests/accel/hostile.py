"""The corpus: model files that try to hurt whoever opens them, made here and never stored.

Each is what an ill-meaning or broken client could send, with the rule that must refuse it.
"""

from __future__ import annotations

from tests.accel.hostile_graphs import GRAPHS
from tests.accel.hostile_runs import RUNS
from tests.accel.hostile_weights import WEIGHTS

CORPUS = {**GRAPHS, **WEIGHTS, **RUNS}
"""Name -> builder of a `making.Case`."""

SHORT = (
    "function chain",
    "EPContext of a file",
    "zip",
    "external data above",
    "gigabyte constant",
    "endless loop",
    "integer overflow",
)
"""One of each kind, for runs that have no time for all."""
