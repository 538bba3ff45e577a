"""Which of the shipped bundles a hub of tests and measurements has. Each costs seconds at its
start, so it is one or two of each family, and not all that ship."""

from __future__ import annotations

from pathlib import Path

BUNDLES = Path(__file__).parents[1] / "models" / "bundles"
REGISTERED = tuple(
    BUNDLES / name
    for name in (
        "banking-intents",
        "electricity-load-quantiles",
        "road-vehicles",
        "sentence-embedder",
        "traffic-speed-quantiles",
    )
)
