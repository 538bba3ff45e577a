"""The corpus: model files that try to hurt whoever opens them, made here and never stored.

Each is what an ill-meaning or broken client could send, with the rule that must refuse it.
"""

from __future__ import annotations

from tests.accel.hostile.graphs import GRAPHS
from tests.accel.hostile.inputs import INPUTS
from tests.accel.hostile.kernels import KERNELS
from tests.accel.hostile.runs import RUNS
from tests.accel.hostile.weights import WEIGHTS

FAMILIES = {
    "graphs": GRAPHS,
    "weights": WEIGHTS,
    "runs": RUNS,
    "kernels": KERNELS,
    "inputs": INPUTS,
}
"""Part of the corpus -> its files."""
CORPUS = {title: make for family in FAMILIES.values() for title, make in family.items()}
"""Name -> builder of a `making.Case`."""

SHORT = (
    "function chain",
    "EPContext of a file",
    "zip",
    "external data above",
    "gigabyte constant",
    "endless loop",
    "integer overflow",
    "far angle",
    "branch of the input",
    "losing rows",
)
"""Some of each family, for runs that have no time for all."""
