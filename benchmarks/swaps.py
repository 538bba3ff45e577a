"""Hot swaps under load, and many models in little memory, on a real hub.

swaps   versions of one model, promoted one after the other while requests keep coming: none fails,
        none that is sent after a promotion was acknowledged is answered by an older version, the
        99th percentile stays near the quiet one, memory comes back
crowd   more models than fit: every one answers, and the replica's memory stays within its budget

    python -m benchmarks.swaps [swaps | crowd]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

import plaza
from benchmarks import graphs, paced
from benchmarks.hub import Hub, running_hub

_X = np.ones((1, 4), np.float32)
_BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0] * 4}]}
).encode()
_ROLLBACKS = 5
_OPEN_LIMITS = {"rate_per_second": 100_000, "rate_burst": 100_000}


@dataclass(frozen=True, slots=True)
class Swaps:
    """What became of the requests of one run."""

    swaps: int
    requests: int
    failed: dict[int, int]
    """How many answers had which other status than 200; 0 is a connection that broke."""
    stale: int
    """Answers of an older version to requests sent after the newer one was acknowledged."""
    quiet_p99_ms: float
    p99_ms: float
    swap_p50_s: float
    swap_longest_s: float
    warm_rollback_s: float
    """The longest, to the version before, which replicas keep open."""
    cold_rollback_s: float
    """The longest, to versions that were closed since."""
    memory_before_mb: float
    memory_after_mb: float

    @property
    def held(self) -> bool:
        grown = abs(self.memory_after_mb / self.memory_before_mb - 1)
        calm = self.p99_ms <= 1.5 * self.quiet_p99_ms
        back = self.warm_rollback_s <= 1 and self.cold_rollback_s <= 5
        return not self.failed and not self.stale and calm and grown <= 0.1 and back


async def hot_swaps(
    hub: Hub, directory: Path, *, swaps: int, rate: float, quiet_s: float = 15.0
) -> Swaps:
    """Register `swaps` + 1 versions, then promote each while `rate` requests per second come; then
    roll back, with the same load."""
    admin = hub.admin
    for seed in range(swaps + 1):
        bundle = graphs.tiny(seed=seed).write(directory / f"v{seed}")
        await asyncio.to_thread(admin.models.register, bundle, name="swapped", visibility="public")
    port = int(hub.environment["PLAZA_HTTP_PORT"])
    request = paced.request("/v2/models/swapped/infer", hub.admin_key, _BODY)
    await asyncio.to_thread(answers_by, admin, "swapped")
    pace = paced.Pace(port, request, rate)
    await pace.start()
    await asyncio.sleep(2)
    begun = time.monotonic()
    await asyncio.sleep(quiet_s)
    before = _replica_mb(hub)
    quiet_until = time.monotonic()
    acknowledged: list[tuple[float, int]] = []
    took: list[float] = []
    for version in range(2, swaps + 2):
        asked = time.monotonic()
        moved = await asyncio.to_thread(admin.models.promote, "swapped", version)
        if moved.waiting_for or moved.failed_on:
            raise RuntimeError(f"version {version} was not published: {moved}")
        acknowledged.append((time.monotonic(), version))
        took.append(time.monotonic() - asked)
        await asyncio.sleep(max(0.0, 1.0 - took[-1]))
    swapped_until = time.monotonic()
    warm, cold = await asyncio.to_thread(_rollbacks, admin, swaps)
    await pace.stop()
    await asyncio.sleep(3)
    quiet = [a for a in pace.answers if begun <= a.due < quiet_until]
    during = [a for a in pace.answers if quiet_until <= a.due < swapped_until]
    return Swaps(
        swaps=swaps,
        requests=len(during),
        failed=dict(Counter(a.status for a in pace.answers if a.status != HTTPStatus.OK)),
        stale=sum(_stale(answer, acknowledged) for answer in during),
        quiet_p99_ms=paced.percentile_ms(quiet, 0.99),
        p99_ms=paced.percentile_ms(during, 0.99),
        swap_p50_s=sorted(took)[len(took) // 2],
        swap_longest_s=max(took),
        warm_rollback_s=max(warm),
        cold_rollback_s=max(cold),
        memory_before_mb=before,
        memory_after_mb=_replica_mb(hub),
    )


def _rollbacks(admin: plaza.Client, swaps: int) -> tuple[list[float], list[float]]:
    """Seconds that rolling back took until every replica answered so: warm ones, cold ones."""

    def back() -> float:
        asked = time.monotonic()
        moved = admin.models.rollback("swapped")
        if moved.waiting_for or moved.failed_on:
            raise RuntimeError(f"a roll-back was not published: {moved}")
        return time.monotonic() - asked

    warm = []
    for _ in range(_ROLLBACKS):
        warm.append(back())
        admin.models.promote("swapped", swaps + 1)
    back()
    return warm, [back() for _ in range(min(_ROLLBACKS, swaps - 1))]


def _stale(answer: paced.Answer, acknowledged: list[tuple[float, int]]) -> bool:
    newest = max((version for at, version in acknowledged if at < answer.sent), default=0)
    return answer.version is not None and answer.version < newest


def answers_by(client: plaza.Client, model: str, within_s: float = 30.0) -> int:
    """The version that answers, once one does."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            return client.infer(model, {"x": _X}).version
        except plaza.PlazaError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def _replica_mb(hub: Hub) -> float:
    """Memory of all replicas of the hub."""
    replicas = [p for p in hub.descendants() if "ServeReplica" in " ".join(p.cmdline())]
    return sum(process.memory_info().rss for process in replicas) / 2**20


def crowd(hub: Hub, directory: Path, *, models: int, weights_mb: float) -> dict[str, Any]:
    """`models` models of `weights_mb` each, asked in turn and then at random."""
    admin = hub.admin
    width = int((weights_mb * 2**20 / 4 / 9 / 4) ** 0.5)
    for number in range(models):
        graph = graphs.conv(seed=number, size=8, width=width, layers=4)
        bundle = graph.write(directory / f"m{number}")
        admin.models.register(bundle, name=f"crowd-{number}", visibility="public")
    image = np.ones((1, 3, 8, 8), np.float32)
    expected: dict[int, bytes] = {}
    random = np.random.default_rng(0)
    order = [*range(models), *random.integers(0, models, 3 * models).tolist()]
    most, wrong, slowest = 0.0, 0, 0.0
    for number in order:
        begun = time.monotonic()
        answer = _patient(admin, f"crowd-{number}", image)
        slowest = max(slowest, time.monotonic() - begun)
        wrong += expected.setdefault(number, answer) != answer
        most = max(most, _replica_mb(hub))
    return {
        "models": models,
        "requests": len(order),
        "wrong": wrong,
        "distinct": len(set(expected.values())),
        "most_mb": round(most, 1),
        "slowest_s": round(slowest, 2),
    }


def _patient(client: plaza.Client, model: str, image: Any) -> bytes:
    """The first request after registration may come before the replica has heard of the model."""
    give_up = time.monotonic() + 30
    while True:
        try:
            answer: bytes = client.infer(model, {"image": image})["scores"].tobytes()
        except plaza.PlazaError as error:
            if error.code != "model_not_found" or time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return answer


def prove_swaps() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="plaza-swaps-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state", **_OPEN_LIMITS) as hub:
            found = asyncio.run(hot_swaps(hub, place, swaps=50, rate=200))
    return {**{name: getattr(found, name) for name in found.__slots__}, "held": found.held}


def prove_crowd() -> dict[str, Any]:
    """50 models where 10 fit."""
    budget_mb, each_mb = 100, 9.0
    with tempfile.TemporaryDirectory(prefix="plaza-crowd-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state", model_memory_mb=budget_mb, **_OPEN_LIMITS) as hub:
            empty = _replica_mb(hub)
            found = crowd(hub, place, models=50, weights_mb=each_mb)
    found |= {"budget_mb": budget_mb, "empty_mb": round(empty, 1)}
    within = found["most_mb"] - empty <= 1.1 * budget_mb
    found["held"] = not found["wrong"] and found["distinct"] == found["models"] and within
    return found


PROOFS = {"swaps": prove_swaps, "crowd": prove_crowd}

if __name__ == "__main__":
    for proof in sys.argv[1:] or PROOFS:
        sys.stdout.write(f"{proof}: {json.dumps(PROOFS[proof](), indent=1)}\n")
