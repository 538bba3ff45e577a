"""What batching by length brings: an embedder, texts of mixed lengths, 64 at a time.

Three ways to take the same requests, measured in turn and compared by the median of the ratios:

    by length   padded to the sizes that the bundle declares, and joined where those are equal
    equal       joined only where lengths happen to be equal (the rule of servers without padding)
    one width   everything padded to the widest, so that everything can be joined

In process: a lane with its fair queue and workers, closed loop, 64 requests outstanding; with the
tokeniser, and the graph alone (tensors are sent). Over a hub: one key, 64 connections.

    python -m benchmarks.lengths [--hub] [--encoder] [--rounds 5] [--seconds 10]

of the shipped embedder, which is a table, or of one with attention (`benchmarks.encoders`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks import load
from benchmarks.hub import running_hub
from benchmarks.peers.asked import Asked, encoder
from benchmarks.queueing import requests as some_requests
from plaza_accel.providers.cpu import provider
from plaza_core.clock import SystemClock
from plaza_core.ids import RequestId
from plaza_core.inference import Call
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_models.tasks import EmbedTask
from plaza_models.text.embed import open_family
from plaza_serving.dataplane.batch import BatchRunner
from plaza_serving.dataplane.lane import Lane
from plaza_serving.dataplane.work import Finished, Work
from plaza_serving.dataplane.workers import Workers

BUNDLE = Path(__file__).parents[1] / "models" / "bundles" / "sentence-embedder"
WAITING = 64
_TABLE_MS, _ENCODER_MS = 12, 200
"""How long a joined run may take: the usual, and what lets texts of milliseconds join."""
THREADS = 2
TEXTS = 512
WAYS = ("by length", "equal", "one width")


def mixed(seed: int = 0) -> list[str]:
    """Sentences of 2 to 60 words, short ones more often: lengths are uniform in their logarithm."""
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, random.integers(2, 9))) for _ in range(4000)]
    lengths = np.exp(random.uniform(np.log(2), np.log(60), TEXTS)).astype(int)
    return [" ".join(random.choice(words, length)) for length in lengths]


class Closed:
    """Keeps `WAITING` requests outstanding until told to stop."""

    def __init__(self, lane: Lane, calls: list[Call]) -> None:
        self._lane = lane
        self._next = map(calls.__getitem__, (n % len(calls) for n in count()))
        self._template = some_requests(1)[0]
        self._target: Any = _Target()
        self._lock = threading.Lock()
        self.done = 0
        self.open = True
        self._workers = Workers(THREADS, self._settle, SystemClock())

    def run(self, seconds: float) -> tuple[float, float]:
        """Requests per second, and µs of processor time for each."""
        for _ in range(WAITING):
            self._offer()
        time.sleep(seconds / 4)  # warm-up, which is not counted
        before, begin, cpu = self.done, time.perf_counter(), time.process_time()
        time.sleep(seconds)  # what is measured: workers and their answers keep themselves busy
        while self.done == before:  # a batch of 64 paragraphs at one width takes many seconds
            time.sleep(0.1)
        count, cpu = self.done - before, time.process_time() - cpu
        rate = count / (time.perf_counter() - begin)
        self.open = False
        self._workers.close()
        return rate, cpu / count * 1e6

    def _offer(self) -> None:
        like = self._template
        with self._lock:
            work = Work(
                call=next(self._next),
                principal=like.principal,
                target=self._target,
                provider="cpu",
                deadline_ns=like.deadline_ns,
                admitted_ns=0,
                admitted_unix_us=0,
                future=like.future,
            )
            self._workers.offer(self._lane, work)

    def _settle(self, finished: list[Finished]) -> None:
        if wrong := next((done.error for done in finished if done.error), None):
            raise wrong
        self.done += len(finished)
        for _ in finished if self.open else ():
            self._offer()


def sizes_of(way: str, own: Mapping[str, Sequence[int]]) -> Mapping[str, Sequence[int]]:
    """The sizes to pad to in place of the bundle's own."""
    if way == "one width":
        return {axis: sizes[-1:] for axis, sizes in own.items()}
    return own if way == "by length" else {}


def in_process(
    bundle: Path, way: str, seconds: float, *, join_ms: int, tokenised: bool
) -> tuple[float, float]:
    manifest = parse_manifest((bundle / MANIFEST_FILE).read_bytes())
    runner, family = provider.open(bundle, manifest), open_family(bundle, manifest)
    lane = Lane(
        BatchRunner(
            runner,
            family,
            max_batch=manifest.limits.max_batch,
            weight=1,
            join_ns=join_ms * 1_000_000,
            buckets=sizes_of(way, manifest.buckets),
            clock=SystemClock(),
        )
    )
    calls = []
    for text in mixed():
        task = EmbedTask((text,))
        tensors = family.prepare(task).tensors if tokenised else None
        calls.append(
            Call(RequestId("r"), "m", None, tensors=tensors, task=None if tokenised else task)
        )
    closed = Closed(lane, calls)
    try:
        return closed.run(seconds)
    finally:
        runner.close()


class _Target:
    """As much of a resolved version as an outcome names."""

    class version:  # noqa: N801 an attribute's name
        version = 1
        digest = "d"


def over_hub(
    console: Console, source: Path, rounds: int, seconds: float, *, join_ms: int
) -> dict[str, list[float]]:
    """Requests per second of each way, in turn, on one hub. No family takes a free width without
    sizes, so there is no `equal`."""
    found: dict[str, list[float]] = {way: [] for way in WAYS if way != "equal"}
    with (
        tempfile.TemporaryDirectory(prefix="plaza-lengths-") as scratch,
        running_hub(Path(scratch) / "state", batch_join_us=join_ms * 1000) as hub,
    ):
        admin = hub.admin
        names = {way: way.replace(" ", "-") for way in found}
        for way, name in names.items():
            bundle = Path(scratch) / name
            shutil.copytree(source, bundle)
            manifest = yaml.safe_load((bundle / MANIFEST_FILE).read_text())
            manifest["name"] = name
            manifest["buckets"] = dict(sizes_of(way, manifest["buckets"]))
            (bundle / MANIFEST_FILE).write_text(yaml.safe_dump(manifest, sort_keys=False))
            admin.models.register(bundle, visibility="public")
        admin.orgs.create("bench")
        admin.orgs.limit("bench", per_second=1e6, burst=1_000_000)
        key = admin.keys.create("bench", role="consumer").key
        hub.client(key).embed(["warm"], model=names["by length"])
        for _ in range(rounds):
            for way, name in names.items():
                found[way].append(_load(hub.environment, key, name, seconds))
                console.print(way, f"{found[way][-1]:,.0f}/s")
    return found


def _load(environment: dict[str, str], key: str, model: str, seconds: float) -> float:
    """64 connections, texts of mixed lengths in turn."""
    port = int(environment["PLAZA_HTTP_PORT"])
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    bodies = [json.dumps({"model": model, "input": text}).encode() for text in mixed()[:WAITING]]
    asked = Asked("/v1/embeddings", headers, tuple(bodies))
    result = load.run("127.0.0.1", port, WAITING, seconds, asked.requests())
    if result["errors"]:
        raise RuntimeError(f"{result['errors']:.0f} requests failed")
    return result["requests_per_second"]


def show(console: Console, title: str, rates: dict[str, list[float]]) -> None:
    shown = Table("way", "requests/s", "by length : this", "spread", title=title)
    for way, values in rates.items():
        ratios = [a / b for a, b in zip(rates["by length"], values, strict=True)]
        shown.add_row(
            way,
            f"{statistics.median(values):,.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
    console.print(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hub", action="store_true", help="over a hub instead of in process")
    parser.add_argument("--encoder", action="store_true", help="the model with attention")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of one measurement; 2, of the encoder 10")
    asked = parser.parse_args()
    seconds = asked.seconds or (10.0 if asked.encoder else 2.0)
    console = Console()
    join_ms = _ENCODER_MS if asked.encoder else _TABLE_MS
    with tempfile.TemporaryDirectory(prefix="plaza-lengths-") as scratch:
        bundle = BUNDLE
        if asked.encoder:
            bundle = encoder(Path(scratch) / "encoder")
        if asked.hub:
            rates = over_hub(console, bundle, asked.rounds, seconds, join_ms=join_ms)
            show(console, f"over a hub, {WAITING} connections", rates)
        else:
            _in_process(console, bundle, asked.rounds, seconds, join_ms=join_ms)
    return 0


def _in_process(
    console: Console, bundle: Path, rounds: int, seconds: float, *, join_ms: int
) -> None:
    for tokenised, title in ((False, "in process, texts"), (True, "in process, the graph alone")):
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        costs: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                rate, cost = in_process(bundle, way, seconds, join_ms=join_ms, tokenised=tokenised)
                rates[way].append(rate)
                costs[way].append(cost)
        show(console, title, rates)
        least = ", ".join(f"{way} {min(values):.0f}" for way, values in costs.items())
        console.print(f"µs of processor time a request, the least of {rounds}: {least}")


if __name__ == "__main__":
    sys.exit(main())
