"""The steady price of a run: what a row costs when nothing disturbs it, and who bears disturbance.

A run after a pause finds its caches cold, and neighbours empty them: a model of 5 µs was measured
at 130 on a hub that is otherwise quiet. None of that is the caller's doing. So every version whose
rows are always the same work, or of one of the shapes that its bundle declares, is run warm when it
is opened; the least that a row took is its calibrated cost. A request is charged what was measured,
less what its run took beyond the calibrated cost of its rows, but never less by more than 200 µs a
run: what is disturbed is small, and a model whose work depends on its values cannot hide more
behind a cheap first run. One whose operators do the same work for all values (`sessions.even`) has
little to hide, and is spared up to 1 ms. The rest of the measured cost is the platform's, as
overrun. Why: docs/decisions/0016-steady-price.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from plaza_core.padding import Buckets, blank, shape_at, variable
from plaza_core.running import Runner
from plaza_core.tensors import BATCH_AXIS, Array
from plaza_serving.dataplane.compute import microseconds
from plaza_serving.dataplane.jobs import Shape
from plaza_serving.dataplane.joining import Joiner

BORNE_US = 200
"""The most that the platform bears of one run for being disturbed."""
BORNE_EVEN_US = 1000
"""The same where a run's work depends on its rows alone: only numbers too small for the processor's
fast path (denormal ones) can still make it longer."""
_RUNS = 32
_ENOUGH_NS = 40_000_000
_LONG_NS = 20_000_000
"""A run that takes longer is not calibrated: the platform would bear less than 1 % of it."""


RowCosts = Mapping[Shape, int]
"""Shape of a row, as it is run -> µs of the device. Empty: not told."""


def calibrate(
    runner: Runner,
    buckets: Mapping[str, Sequence[int]] = MappingProxyType({}),
    cpu_ns: Callable[[], int] = time.thread_time_ns,
) -> RowCosts:
    """The least µs that a row of zeros took of the device, in every shape that there can be: one,
    or each of the declared ones. Empty where an axis has no declared sizes.

    Blocks for about 40 ms a shape. Raises what the run raises.
    """
    signature = runner.signature
    known = {BATCH_AXIS, *buckets} if signature.batched else set(buckets)
    if not known.issuperset(variable(signature.inputs)):
        return {}
    joiner, costs = Joiner(signature, buckets), dict[Shape, int]()
    for sizes in Buckets(signature, {a: tuple(s) for a, s in buckets.items()}).shapes():
        at = {**sizes, BATCH_AXIS: 1}
        row = {spec.name: blank(spec, shape_at(spec, at)) for spec in signature.inputs}
        least_us = _least_us(runner, row, cpu_ns)
        if least_us is None:
            return costs  # larger ones take longer still
        costs[joiner.fit(row, 1).shape] = least_us
    return costs


def _least_us(runner: Runner, row: Mapping[str, Array], cpu_ns: Callable[[], int]) -> int | None:
    least = spent = 0
    for _ in range(_RUNS):
        begin = cpu_ns()
        runner.run(row)
        took = cpu_ns() - begin
        if took > _LONG_NS:
            return None
        least = min(least or took, took)
        spent += took
        if spent > _ENOUGH_NS:
            break
    return microseconds(least)


@dataclass(frozen=True, slots=True)
class SteadyPrice:
    """Of one version. `borne_us`: what the platform bears at most of a whole run."""

    row_us: RowCosts
    borne_us: int = BORNE_US

    def own_us(self, share_us: int, shape: Shape, rows: int, run_rows: int) -> int:
        """How much of its share of a run's measured device time a request is charged for: all of
        it where rows of `shape` are not calibrated. `rows` of the run's `run_rows` were its own."""
        row_us = self.row_us.get(shape)
        if row_us is None:
            return share_us
        return min(share_us, max(row_us * rows, share_us - self.borne_us * rows // run_rows))


MEASURED = SteadyPrice({})
"""Nothing is calibrated: all that was measured is charged."""
