"""The papers by name: each asks a model for its whole test set and scores the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.quality import finding, forecasts, pictures, speed, texts
from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figures

PAPERS: Mapping[str, Callable[[Seat], Figures]] = {
    "beside-direct": pictures.beside_direct,
    "held-out": forecasts.held_out,
    "influenza": forecasts.influenza,
    "labels": texts.labels,
    "own": forecasts.own,
    "pairs": texts.pairs,
    "protocol": forecasts.protocol,
    "rejection": texts.rejection,
    "search": finding.found,
    "speed": speed.ratio,
    "trials": forecasts.trials,
    "vehicles": pictures.vehicles,
}
HUB_ALONE = frozenset(("search", "speed", "beside-direct"))
"""Those that say nothing of a variant that was trained again."""
