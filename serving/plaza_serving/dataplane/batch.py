"""Running a batch: prepare each request, join what fits, run, split exactly, interpret.

Pure computation on the calling thread: no queue, no loop, no store. One bad request never spoils
its neighbours: a joined run that fails is repeated one request at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from plaza_core.clock import Clock
from plaza_core.errors import InvalidInput, ModelFailed, PlazaError
from plaza_core.inference import Outcome, Timing
from plaza_core.running import Family, Prepared, Runner
from plaza_core.tensors import Array
from plaza_serving.dataplane import compute
from plaza_serving.dataplane.bills import Bill, Ran
from plaza_serving.dataplane.calibration import MEASURED, SteadyPrice
from plaza_serving.dataplane.jobs import Job, Run, Shape
from plaza_serving.dataplane.joining import Joiner
from plaza_serving.dataplane.runtime import RunTime
from plaza_serving.dataplane.work import Finished, Work

log = logging.getLogger(__name__)


_EARLY_NS = 2_000_000
"""Answers that have waited for so long for the other runs of their batch leave before these. To
tell costs about 50 µs and a wake-up of the loop."""


def join_ns(join_us: int, target_us: float | None) -> int:
    """How long a joined run may take: `join_us` (0: as long as it likes; so for a model that says
    itself how soon it must answer), and where requests are to be answered in `target_us`, half of
    that: one may have to wait for the run before its own."""
    target_ns = 0 if target_us is None else max(1, int(target_us * 500))
    return min(filter(None, (join_us * 1000, target_ns)), default=0)


class BatchRunner:
    """Runs batches of one opened version. Thread-safe: between calls it only keeps what it has
    learnt of run times.

    Joining saves what a run costs beside its rows, about 20 µs on a CPU. Measured there, rows of a
    larger batch are no cheaper once a run takes milliseconds (5 ms convolution: 8 rows joined cost
    7 % more each), so requests are joined only where that saves something and the run stays under
    `join_ns` (0: always), by what is learnt of how long runs take (`runtime`).
    `steady` is what rows cost when nothing disturbs them (`calibration`). `buckets` are the
    declared sizes of variable axes, to which requests are padded (`joining`). `bound` is told
    before each batch by when all of it must have ended. `device_ns` tells what the calling thread's
    runs have cost, `cpu_ns` what the rest of its work has; left out they are the same.
    """

    def __init__(
        self,
        runner: Runner,
        family: Family,
        *,
        max_batch: int,
        weight: int,
        join_ns: int = 0,
        steady: SteadyPrice = MEASURED,
        buckets: Mapping[str, Sequence[int]] = MappingProxyType({}),
        clock: Clock,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
        device_ns: Callable[[], int] | None = None,
        bound: Callable[[int], object] | None = None,
    ) -> None:
        self._runner = runner
        self._family = family
        self._max_batch = max_batch
        self._weight = weight
        self._now = clock.monotonic_ns
        self._cpu = cpu_ns
        self._device = device_ns or cpu_ns
        self._bound = bound
        self._joinable = runner.signature.batched
        self._join_ns = join_ns
        self._steady = steady
        self._joiner = Joiner(runner.signature, buckets)
        self._run_time = RunTime()
        self._lengths = bool(buckets)
        """Runs of several lengths: no line tells what one of them costs beside its rows."""

    def __call__(
        self, works: Sequence[Work], early: Callable[[list[Finished]], object] | None = None
    ) -> list[Finished]:
        """One Finished per work, in no particular order; less those that `early` was told of."""
        finished: list[Finished] = []
        jobs: list[Job] = []
        if self._bound is not None:
            self._bound(max(work.deadline_ns for work in works))
        for work in works:
            # Of tensors nothing is prepared, and to ask for the thread's time takes a microsecond.
            cpu = None if work.call.tensors is not None else self._cpu()
            try:
                jobs.append(self._prepare(work))
            except PlazaError as error:
                host_us = 0 if cpu is None else compute.microseconds(self._cpu() - cpu)
                overrun = work.price.cost(device_us=0, host_us=host_us, rows=0)
                finished.append(Finished(work, None, error, Bill(host_us=host_us, overrun=overrun)))
        groups = list(self._groups(jobs))
        if len(groups) == 1 or early is None:
            return [*finished, *(done for group in groups for done in self._run_group(group))]
        since = self._now()
        for group in groups[:-1]:
            finished += self._run_group(group)
            if self._now() - since > _EARLY_NS:
                early(finished)
                finished, since = [], self._now()
        return [*finished, *self._run_group(groups[-1])] if groups else finished

    def worth_joining(self) -> int:
        """How many requests to take at once, from what runs have taken so far."""
        if not self._joinable:
            return 1
        rows = self._run_time.rows_in(self._join_ns) if self._join_ns else None
        if rows is None:
            return self._max_batch
        if not self._lengths and not self._run_time.saves():
            return 1
        return max(1, min(self._max_batch, rows))

    def _prepare(self, work: Work) -> Job:
        now, call = self._now(), work.call
        if call.tensors is not None:
            tensors = dict(call.tensors)
            rows = len(next(iter(tensors.values()))) if self._joinable else 1
            return Job(work, Prepared(tensors, rows), self._joiner.fit(tensors, rows), now, 0, 0)
        cpu = self._cpu()
        try:
            prepared = self._family.prepare(call.task)
        except PlazaError:
            raise
        except Exception as error:
            log.exception("prepare failed", extra={"request_id": call.request_id})
            raise InvalidInput("this input cannot be prepared for the model") from error
        fitted = self._joiner.fit(prepared.tensors, prepared.rows)
        return Job(work, prepared, fitted, now, self._now() - now, self._cpu() - cpu)

    def _groups(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Jobs that may share a run."""
        if len(jobs) == 1 or not self._joinable:
            yield from ([job] for job in jobs)
            return
        groups: dict[Shape, list[Job]] = {}
        for job in jobs:
            groups.setdefault(job.fitted.shape, []).append(job)
        yield from groups.values()

    def _run_group(self, jobs: list[Job]) -> list[Finished]:
        started, spent = self._now(), self._device()
        try:
            parts = self._run_joined(jobs)
        except PlazaError as error:
            lost_us = compute.microseconds(self._device() - spent)
            if len(jobs) == 1:
                return [self._failed(jobs[0], error, lost_us)]
            for job, part_us in zip(jobs, compute.split(lost_us, _sizes(jobs)), strict=True):
                job.lost_us += part_us
            return [done for job in jobs for done in self._run_group([job])]
        run_ns = self._now() - started
        device_us = compute.microseconds(self._device() - spent)
        rows = [job.prepared.rows for job in jobs]
        self._run_time.note(sum(rows), run_ns)
        run_us = compute.microseconds(run_ns)
        ran = Ran(device_us, sum(rows))
        shares = compute.split(device_us, _sizes(jobs)) if len(jobs) > 1 else [device_us]
        return [
            self._interpret(job, part, Run(share, run_us, ran))
            for job, part, share in zip(jobs, parts, shares, strict=True)
        ]

    def _run_joined(self, jobs: list[Job]) -> list[dict[str, Array]]:
        """The outputs of each job, from as few runs as `max_batch` allows."""
        joined = self._joiner.inputs([job.fitted for job in jobs])
        outputs = self._run_sliced(joined, sum(job.prepared.rows for job in jobs))
        parts: list[dict[str, Array]] = []
        start = 0
        for job in jobs:
            parts.append(self._joiner.outputs(job.fitted, outputs, start))
            start += job.prepared.rows
        return parts

    def _run_sliced(self, tensors: Mapping[str, Array], rows: int) -> dict[str, Array]:
        if rows <= self._max_batch or not self._joinable:
            return self._runner.run(tensors)
        slices = [
            self._runner.run({n: a[at : at + self._max_batch] for n, a in tensors.items()})
            for at in range(0, rows, self._max_batch)
        ]
        return {name: np.concatenate([s[name] for s in slices]) for name in slices[0]}

    def _interpret(
        self,
        job: Job,
        outputs: dict[str, Array],
        run: Run,
    ) -> Finished:
        work = job.work
        answer, interpret_ns, host_ns = None, 0, job.host_cpu_ns
        if work.call.task is not None:
            now, cpu = self._now(), self._cpu()
            try:
                answer = self._family.interpret(outputs, job.prepared.context)
            except PlazaError as error:
                job.host_cpu_ns += self._cpu() - cpu
                return self._failed(job, error, run.device_us)
            except Exception:
                log.exception("interpret failed", extra={"request_id": work.call.request_id})
                job.host_cpu_ns += self._cpu() - cpu
                unread = ModelFailed("the model's answer cannot be read")
                return self._failed(job, unread, run.device_us)
            interpret_ns = self._now() - now
            host_ns += self._cpu() - cpu
            outputs = {}
        bill = self._bill(job, run, compute.microseconds(host_ns))
        run.ran.host_us += bill.host_us
        held = work.reservation
        outcome = Outcome(
            model=work.call.model,
            version=work.target.version.version,
            digest=work.target.version.digest,
            timing=Timing(
                queue_us=(job.started_ns - work.admitted_ns) // 1000,
                prepare_us=job.prepare_ns // 1000,
                run_us=run.run_us,
                interpret_us=interpret_ns // 1000,
            ),
            compute_us=bill.compute_us,
            batch_rows=run.ran.rows,
            charge=bill.charge,
            host_us=bill.host_us,
            budget_remaining=None if held is None else held.remaining_after(bill.charge),
            tensors=outputs,
            answer=answer,
        )
        return Finished(work, outcome, None, bill, run.ran)

    def _bill(self, job: Job, run: Run, host_us: int) -> Bill:
        """Charge what was measured and is the caller's, up to the reserve; the platform bears the
        rest."""
        work, rows = job.work, job.prepared.rows
        own_us = self._steady.own_us(run.device_us, job.fitted.shape, rows, run.ran.rows)
        device_us = run.device_us + job.lost_us
        cost = charge = work.price.cost(device_us=device_us, host_us=host_us, rows=rows)
        if own_us < device_us:
            charge = work.price.cost(device_us=own_us, host_us=host_us, rows=rows)
        held = work.reservation
        if held is not None:
            charge = min(charge, held.amount)
        return Bill(rows, device_us * self._weight, host_us, charge, cost - charge)

    def _failed(self, job: Job, error: PlazaError, device_us: int) -> Finished:
        """A run without an answer is charged to nobody."""
        rows, host_us = job.prepared.rows, compute.microseconds(job.host_cpu_ns)
        device_us += job.lost_us
        borne = job.work.price.cost(device_us=device_us, host_us=host_us, rows=rows)
        bill = Bill(rows, device_us * self._weight, host_us, overrun=borne)
        return Finished(job.work, None, error, bill)


def _sizes(jobs: Sequence[Job]) -> list[int]:
    """By what a run is split: the family's own measure where it names one for all, else rows."""
    sizes = [job.prepared.size for job in jobs]
    named = [size for size in sizes if size is not None]
    return named if len(named) == len(jobs) and sum(named) > 0 else [j.prepared.rows for j in jobs]
