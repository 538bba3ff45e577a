"""A lane: the waiting requests of one open version, and what runs them.

Which organisation and key a waiting request belongs to, and who is next, is the business of
`fair.FairQueue`; it alone touches `waiting` and `mean_us`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from plaza_serving.dataplane.work import Finished, Work

if TYPE_CHECKING:
    from plaza_serving.dataplane.flows import Organisation, Queues

_FIRST_GUESS_US = 1000.0


class Runs(Protocol):
    """What a worker does with requests of one version; `BatchRunner` is the real one."""

    def __call__(self, works: Sequence[Work]) -> list[Finished]: ...

    def worth_joining(self) -> int:
        """How many requests to take at once now, at least 1."""


class Lane:
    """`mean_us`: what a request cost on the average so far, a guess until `measured` is above 0.
    `outside`: another process computes, and the worker only waits for it."""

    __slots__ = ("mean_us", "measured", "outside", "run", "waiting")

    def __init__(self, run: Runs) -> None:
        self.run = run
        self.waiting: dict[Organisation, Queues] = {}
        self.mean_us = _FIRST_GUESS_US
        self.measured = 0
        self.outside = False

    def learn(self, total_us: float, requests: int) -> None:
        """Take note of what a batch cost."""
        mean = total_us / requests
        self.mean_us = mean if not self.measured else 0.8 * self.mean_us + 0.2 * mean
        self.measured += requests
