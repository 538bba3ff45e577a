"""A lane: the waiting requests of one open version, and what runs them.

Which organisation and key a waiting request belongs to, and who is next, is the business of
`fair.FairQueue`; it alone touches `waiting` and `mean_us`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from plaza_serving.dataplane.work import Finished, Work

if TYPE_CHECKING:
    from plaza_serving.dataplane.flows import Organisation, Queues

_FIRST_GUESS_US = 1000.0
MEASURED_ENOUGH = 16
_TELLS_US = 1000.0
"""What was foreseen must be longer than this to say anything of how well it was."""
_LEAST_SKEW, _MOST_SKEW = 0.5, 8.0
QUICK_US, SLOW_US = 100.0, 1000.0
"""What a request of a lane may cost, on the average of its batch, for the event loop to run it, and
from where on a whole batch is very slow."""
QUICK_ENOUGH, _QUICK_MOST, _SLOW_COUNTS = 128, 256, 100
"""Quick batches count one each, up to a number, slow ones so many against them: a lane of which
more than one in a hundred is slow does not get there, or does not stay. A very slow one counts as
all that it takes to be quick: one such may be the machine's doing, two are the model's."""


class Runs(Protocol):
    """What a worker does with requests of one version; `BatchRunner` is the real one."""

    def __call__(
        self, works: Sequence[Work], early: Callable[[list[Finished]], object] | None = None
    ) -> list[Finished]:
        """What became of them. `early` may be told of some before the others have run, and these
        are not returned."""
        ...

    def worth_joining(self) -> int:
        """How many requests to take at once now, at least 1."""


class Lane:
    """`mean_us`: what a request cost on the average so far, a guess until `measured` is above 0.
    `target_us`: in what time a request is to be answered; no more are let in to wait than that
    allows. None: as long as their deadlines. `skew`: how much longer than was foreseen requests
    really waited. `outside`: another process computes, and the worker only waits for it.
    `even`: what a request costs depends on nothing but its rows, so that the past tells it."""

    __slots__ = (
        "_quick", "even", "mean_us", "measured", "outside", "run", "skew", "target_us", "waiting",
    )  # fmt: skip

    def __init__(self, run: Runs, *, target_us: float | None = None, even: bool = False) -> None:
        self.run = run
        self.target_us = target_us
        self.skew = 1.0
        self.waiting: dict[Organisation, Queues] = {}
        self.mean_us = _FIRST_GUESS_US
        self.measured = 0
        self.outside = False
        self.even = even
        self._quick = 0

    @property
    def quick(self) -> bool:
        """Whether a run is so short that the event loop may do it itself (`workers`)."""
        return self._quick >= QUICK_ENOUGH and self.even and not self.outside

    def learn(self, total_us: float, requests: int) -> None:
        """Take note of what a batch cost."""
        mean = total_us / requests
        self.mean_us = mean if not self.measured else 0.8 * self.mean_us + 0.2 * mean
        self.measured += requests
        if mean <= QUICK_US:
            self._quick = min(_QUICK_MOST, self._quick + 1)
        else:
            against = _SLOW_COUNTS if total_us < SLOW_US else QUICK_ENOUGH
            self._quick = max(0, self._quick - against)

    def failed(self) -> None:
        """A request of a batch has failed: nobody knows how long the next will take."""
        self._quick = 0

    def patience_us(self, left_us: float) -> float:
        """The longest that a request may expect to wait that must be answered in `left_us`.

        Half of that at most: were it all, then under overload the queue would stand where its
        requests are just not late, every second one would be, and work on those is for nothing.
        Time for one run at least: a target that is shorter than that would let nobody in.
        """
        most = left_us / 2
        if self.target_us is not None:
            most = min(most, self.target_us - self.mean_us)
        return max(most, min(self.mean_us, left_us))

    def hopeless(self, left_ns: int) -> bool:
        """Whether a request that must be answered in `left_ns` is late, or would surely be: half of
        what one takes is longer than that."""
        return left_ns <= 0 or (self.measured >= MEASURED_ENOUGH and left_ns < 500 * self.mean_us)

    def waited(self, works: Sequence[Work], now_ns: int) -> None:
        """These are taken now: learn how well their waiting was foreseen."""
        told = [work for work in works if work.foreseen_us > _TELLS_US]
        if told:
            waited_us = sum(now_ns - work.admitted_ns for work in told) / 1000
            ratio = waited_us / sum(work.foreseen_us for work in told)
            skew = self.skew + 0.1 * (ratio - self.skew)
            self.skew = min(_MOST_SKEW, max(_LEAST_SKEW, skew))
