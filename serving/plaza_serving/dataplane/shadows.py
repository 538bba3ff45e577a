"""Shadows: a version computes what another has answered, only to be compared with it.

    answer has left ─▶ background ─▶ prepare, run, interpret ─▶ compare ─▶ counted, thrown away
                          └─ no idle worker, backlog full: dropped, counted

A shadow prepares the payload by itself, because how inputs become tensors is part of a version.
What it says is never returned, stored or logged. What it costs is recorded as overrun of the
model's owner, outcome `shadow`, charge 0, under the rollout's id in place of a key; no lease, rate
or slot of the caller is touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from msgspec import structs

from plaza_core.budget import Price
from plaza_core.clock import Clock
from plaza_core.errors import BadRequest, PlazaError
from plaza_core.ids import ModelId, ReplicaId, RequestId
from plaza_core.inference import Call, Outcome, UsageRecord
from plaza_core.principal import Principal
from plaza_core.rollout import Arm
from plaza_serving.dataplane.background import Background
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.compare import agree
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.dataplane.hosting import ModelHost
from plaza_serving.dataplane.routes import Route
from plaza_serving.dataplane.sightings import Sightings
from plaza_serving.dataplane.work import Finished, Work

log = logging.getLogger(__name__)

SHADOW = "shadow"
"""Outcome in the ledger."""
_FAR_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Means:
    """What the plane lends to its shadows."""

    clock: Clock
    replica: ReplicaId
    new_request_id: Callable[[], RequestId]
    price: Callable[[ModelId, str], Price]
    record: Callable[[Sequence[UsageRecord]], PlazaError | None]


class Shadows:
    """`compute` runs on the loop, after the answer was handed out."""

    def __init__(
        self, host: ModelHost, sightings: Sightings, background: Background, means: Means
    ) -> None:
        self._host = host
        self._seen = sightings
        self._background = background
        self._means = means
        self._loop = asyncio.get_running_loop()

    def compute(self, principal: Principal, call: Call, route: Route, given: Outcome) -> None:
        for shadow in route.shadows:
            if route.rollout is not None:
                self._one(principal, call, shadow, route.rollout, given)

    def _one(
        self, principal: Principal, call: Call, shadow: Resolved, rollout: str, given: Outcome
    ) -> None:
        key = shadow.key
        hosted = self._host.get(key)
        if hosted is None:
            self._host.want(key, shadow.version)
            self._seen.dropped(rollout)
            return
        try:
            hosted.check(call)
        except BadRequest:
            self._seen.requests(rollout, Arm.SHADOW, 1, failed=1)
            self._seen.pair(rollout, agree=False)
            return
        work = self._work(principal, call, shadow, hosted)
        hosted.users += 1

        def run() -> None:
            try:
                self._compare(work, hosted, rollout, given)
            finally:
                self._loop.call_soon_threadsafe(hosted.leave)

        def dropped() -> None:
            self._seen.dropped(rollout)
            hosted.leave()

        self._background.offer(rollout, _size(call.tensors, call.task, given), run, dropped)

    def _work(self, principal: Principal, call: Call, shadow: Resolved, hosted: Hosted) -> Work:
        """Under an id of its own: its line is not the caller's, who may be the owner as well."""
        provider = hosted.runner.provider
        return Work(
            call=structs.replace(call, request_id=self._means.new_request_id(), sticky=None),
            principal=principal,
            target=shadow,
            provider=provider,
            deadline_ns=_FAR_NS,
            admitted_ns=self._means.clock.monotonic_ns(),
            admitted_unix_us=self._means.clock.unix_us(),
            future=self._loop.create_future(),
            price=self._means.price(shadow.model.id, provider),
        )

    def _compare(self, work: Work, hosted: Hosted, rollout: str, given: Outcome) -> None:
        (done,) = hosted.lane.run([work])
        refusal = self._means.record([self._usage(done, rollout)])
        if refusal is not None:
            log.warning("the cost of a shadow was not recorded: %s", refusal.message)
        divided = work.target.model.splits.values()
        tolerance = next((s.tolerance for s in divided if s.rollout == rollout), 0.0)
        same = done.outcome is not None and agree(given, done.outcome, tolerance)
        self._seen.pair(rollout, agree=same)
        if done.ran is not None:
            self._seen.runs(rollout, Arm.SHADOW, [done.ran])
        self._seen.requests(rollout, Arm.SHADOW, 1, failed=int(done.error is not None))

    def _usage(self, done: Finished, rollout: str) -> UsageRecord:
        work, model, bill = done.work, done.work.target.model, done.bill
        return UsageRecord(
            organisation=model.organisation,
            project=model.project,
            key=rollout,
            request_id=work.call.request_id,
            model=model.id,
            version=work.target.version.version,
            digest=work.target.version.digest,
            provider=work.provider,
            rows=bill.rows,
            compute_us=bill.compute_us,
            host_us=bill.host_us,
            latency_us=(self._means.clock.monotonic_ns() - work.admitted_ns) // 1000,
            outcome=SHADOW,
            at_unix_us=work.admitted_unix_us,
            replica=self._means.replica,
            charge=0,
            overrun=bill.charge + bill.overrun,
        )


def _size(*values: Any) -> int:
    """About how many bytes input and answer hold in memory."""
    total = 0
    for value in values:
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, str | bytes):
            total += len(value)
        elif is_dataclass(value) and not isinstance(value, type):
            total += _size(*(getattr(value, field.name) for field in fields(value)))
        elif isinstance(value, dict):
            total += _size(*value.values())
        elif isinstance(value, list | tuple):
            total += 32 * len(value) + _size(*value[:64]) * max(1, len(value) // 64)
    return total
