"""Plaza's examination of this package's provider: `pytest test_examination.py`."""

from __future__ import annotations

from typing import ClassVar

from plaza_accel.conformance import GRAPHS, ExaminedGraph, ProviderConformance
from plaza_accel.contract.provider import select


class TestNxrt(ProviderConformance):
    # By its entry point, as a pool would find it.
    provider = select("nxrt")
    runs: ClassVar[frozenset[str]] = frozenset(GRAPHS) - {"conv"}

    def lacking(self) -> ExaminedGraph:
        """Convolutions are what this library leaves to others."""
        return GRAPHS["conv"]()
