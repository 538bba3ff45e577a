"""The steady price of a run: what a row costs when nothing disturbs it, and who bears disturbance.

A run after a pause finds its caches cold, and neighbours empty them: a model of 5 µs was measured
at 130 on a hub that is otherwise quiet. None of that is the caller's doing. So every version whose
rows are always the same work is run warm when it is opened; the least that a row took is its
calibrated cost. A request is charged what was measured, less what its run took beyond the
calibrated cost of its rows, but never less by more than 200 µs a run: what is disturbed is small,
and a model whose work depends on its values cannot hide more behind a cheap first run. The rest of
the measured cost is the platform's, as overrun. Why: docs/decisions/0016-steady-price.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from plaza_core.running import Runner
from plaza_core.tensors import BATCH_AXIS, Array, Signature
from plaza_serving.dataplane.compute import microseconds

BORNE_US = 200
"""The most that the platform bears of one run for being disturbed."""
_RUNS = 32
_ENOUGH_NS = 40_000_000
_LONG_NS = 20_000_000
"""A run that takes longer is not calibrated: the platform would bear less than 1 % of it."""


def same_work(signature: Signature) -> bool:
    """Whether each row of each request is the same work: nothing but the batch axis is variable."""
    known = {BATCH_AXIS} if signature.batched else set()
    return all(type(dim) is int or dim in known for s in signature.inputs for dim in s.shape)


def calibrate(
    runner: Runner, row: Mapping[str, Array], cpu_ns: Callable[[], int] = time.thread_time_ns
) -> int | None:
    """The least µs that `row`, one row of every input, took of the device. None: not told.

    Blocks for about 40 ms. Raises what the run raises.
    """
    if not same_work(runner.signature):
        return None
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


def steady(share_us: int, row_us: int | None, rows: int, run_rows: int) -> int:
    """How much of its share of a run's measured device time a request is charged for.

    `rows` of the run's `run_rows` were this request's.
    """
    if row_us is None:
        return share_us
    borne_us = BORNE_US * rows // run_rows
    return min(share_us, max(row_us * rows, share_us - borne_us))
