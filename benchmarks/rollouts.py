"""Rollouts against a real control and a real replica: the bad are stopped, the good are not.

    wrong    another network's answers           its shadow
    slow     twice the layers                    its canary
    crash    fails on every input but zeros      its canary
    good     the same network in another file    a canary or a shadow, until 2,000 requests

Control and one replica run in this process, over sockets, with ONNX Runtime sessions, spool and
heartbeats as in a hub; only Ray is left out. What a candidate computed is counted in the ledger,
after the fact: by the time the counts are read, the gate has long decided.

    python -m benchmarks.rollouts [--good 20] [--requests 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from onnx import TensorProto, helper
from rich.console import Console

import plaza
from benchmarks import graphs
from plaza_core.principal import TenantScope
from plaza_core.rollout import GatePolicy, Rollout, RolloutKind, RolloutState
from plaza_core.settings import Settings
from plaza_core.table import HubTable
from plaza_core.testing_rollouts import MemoryRollouts
from plaza_serving.assembly import open_replica
from plaza_serving.control.app import Job, build_app
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import Fleet
from plaza_serving.control.jobs import every, forever
from plaza_serving.control.main import ADMIN_KEY_FILE, compose, gate_of

MODEL, ALIAS, SIZE, BAR = "conv", "champion", 16, 500
CLIENTS = 4
GIVE_UP_S = 240.0
console = Console()


# ── versions ─────────────────────────────────────────────────────────────────────────────────────
def network(seed: int = 0, layers: int = 8, mark: str = "stable") -> graphs.Graph:
    """About 0.6 ms a picture. `mark` makes another file of the same network."""
    made = graphs.conv(seed, size=SIZE, width=48, layers=layers)
    made.model.doc_string = mark
    return made


def crashing() -> graphs.Graph:
    """The network, behind an index that is in range for zeros only."""
    made = network(mark="crash")
    graph = made.model.graph
    graph.node[-1].output[0] = "scores0"
    graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0),
            helper.make_node("Ceil", ["most"], ["up"]),
            helper.make_node("Cast", ["up"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["one", "index"], ["factor"]),
            helper.make_node("Mul", ["scores0", "factor"], ["scores"]),
        ]
    )
    return made


# ── the place ────────────────────────────────────────────────────────────────────────────────────
class Place:
    """A control and a replica, and the verbs on rollouts.

    `start` and `state` are the only two that know how a rollout is begun and looked at.
    """

    def __init__(self, state: Path) -> None:
        settings = Settings(state_dir=state, rate_per_second=1e6, rate_burst=1_000_000)
        self._state = state
        parts, _ = compose(settings)
        self._tenancy = parts.tenancy
        self.rollouts = MemoryRollouts([], parts.clock, os.urandom)
        feed = TableFeed(self._table, lambda: self._version(parts.tenancy.table_version()))
        feed.refresh()
        self._parts = replace(
            parts, feed=feed, fleet=Fleet(feed, parts.clock), rollouts=self.rollouts
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[Place]:
        jobs: list[Job] = [
            lambda: forever("table", every(1.0, self._parts.feed.refresh)),
            *gate_of(self._parts),
        ]
        with _served(build_app(self._parts, jobs)) as self.control_url, self._replica() as self.url:
            self.admin_key = (self._state / ADMIN_KEY_FILE).read_text().strip()
            with plaza.Client(
                self.url, control_url=self.control_url, api_key=self.admin_key
            ) as self.admin:
                yield self
            self._parts.close_waits()
        self._tenancy.close()

    def register(self, directory: Path) -> int:
        return self.admin.models.register(directory, visibility="public").version

    def start(self, kind: RolloutKind, candidate: int, part: int) -> str:
        """Begin a rollout and wait until the replica follows it."""
        self.rollouts.models = {model.id: model for model in self._tenancy.table().models}
        rollout = self.rollouts.start(
            TenantScope(None, None, "bench"),
            MODEL,
            ALIAS,
            candidate,
            kind=kind,
            part=part,
            policy=GatePolicy(),
        )
        version = self._parts.feed.refresh().version
        while not any(r.heartbeat.table_version == version for r in self._parts.fleet.replicas()):
            time.sleep(0.02)
        return rollout.id

    def state(self, rollout: str) -> Rollout:
        return self.rollouts.rollouts[rollout]

    def cancel(self, rollout: str) -> None:
        scope = TenantScope(None, None, "bench")
        self.rollouts.end(scope, rollout, RolloutState.CANCELLED)
        self._parts.feed.refresh()

    def computed(self, kind: RolloutKind, candidate: int, since_us: int) -> int:
        """Requests that the candidate computed since then, from the ledger.

        One that it failed on is a line of the stable version, with an overrun.
        """
        condition = (
            "version = ? AND outcome = 'shadow'"
            if kind is RolloutKind.SHADOW
            else "(version = ? AND outcome != 'shadow' OR overrun > 0 AND outcome != 'shadow')"
        )
        with sqlite3.connect(f"file:{self._state}/plaza.db?mode=ro", uri=True) as database:
            query = f"SELECT count(*) FROM usage WHERE {condition} AND at_unix_us >= ?"  # noqa: S608
            return int(database.execute(query, (candidate, since_us)).fetchone()[0])

    def _version(self, base: str) -> str:
        return f"{base}+{len(self.rollouts.audit)}"

    def _table(self) -> HubTable:
        table = self._tenancy.table()
        splits = {model.id: model.splits for model in self.rollouts.models.values()}
        models = [m.model_copy(update={"splits": splits.get(m.id, {})}) for m in table.models]
        update = {"models": models, "version": self._version(table.version)}
        return table.model_copy(update=update)

    @contextlib.contextmanager
    def _replica(self) -> Iterator[str]:
        """A replica and its door, on a loop and a thread of their own."""
        settings = Settings(state_dir=self._state, control_url=self.control_url)
        config = _quiet(None)
        socket = config.bind_socket()
        stop = threading.Event()

        async def serve() -> None:
            replica = await open_replica(settings, pool="main")
            config.app = replica.door
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve([socket]))
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task
            await replica.close()

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        try:
            _until_ready(url)
            yield url
        finally:
            stop.set()
            thread.join()
            socket.close()


def _quiet(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", access_log=False, ws="none"
    )


@contextlib.contextmanager
def _served(app: Any) -> Iterator[str]:
    config = _quiet(app)
    server, socket = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()


def _until_ready(url: str) -> None:
    give_up = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == httpx.codes.OK:
                return
        if time.monotonic() > give_up:
            raise TimeoutError("the replica does not become ready")
        time.sleep(0.05)


# ── traffic ──────────────────────────────────────────────────────────────────────────────────────
class Clients:
    """Threads that call the alias in a closed loop and count what they got."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(CLIENTS)]
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        image = np.random.default_rng(number).random((1, 3, SIZE, SIZE), np.float32)
        with plaza.Client(
            self._place.url, control_url=self._place.control_url, api_key=self._place.admin_key
        ) as client:
            while not self._stop.is_set():
                image[0, 0, 0, 0] = np.float32(time.monotonic() % 1)
                try:
                    answer = client.infer(MODEL, {"image": image})
                except plaza.PlazaError as error:
                    self.answers[type(error).__name__] += 1
                else:
                    self.answers[f"version {answer.version}"] += 1


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    kind: RolloutKind
    part: int
    graph: graphs.Graph
    good: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    kind: str
    stopped: bool
    because: str | None
    computed: int
    """Requests that the candidate computed, of all that the ledger knows."""
    seconds: float
    errors: int
    """Answers to callers that were errors."""
    numbers: str
    held: bool


def run(place: Place, case: Case, candidate: int, most: int) -> Result:
    """One rollout under traffic, until the gate stops it or it computed `most` requests."""
    rollout = place.start(case.kind, candidate, case.part)
    since_us, begin = time.time_ns() // 1000, time.monotonic()
    with Clients(place) as clients:
        while place.state(rollout).state is RolloutState.RUNNING:
            time.sleep(0.1)
            verdict = place.state(rollout).verdict
            seen = 0 if verdict is None else verdict.tests[0].candidate[1]
            if seen >= most or time.monotonic() - begin > GIVE_UP_S:
                break
        seconds = time.monotonic() - begin
        if place.state(rollout).state is RolloutState.RUNNING:
            place.cancel(rollout)
        time.sleep(0.5)  # what was still under way, also to a replica that has not heard of it
    time.sleep(2.0)  # the spool is shipped every second
    ended = place.state(rollout)
    stopped = ended.state is RolloutState.STOPPED
    computed = place.computed(case.kind, candidate, since_us)
    bad_held, good_held = stopped and computed < BAR, not stopped and computed >= most
    return Result(
        name=case.name,
        kind=case.kind.value,
        stopped=stopped,
        because=None if ended.verdict is None else ended.verdict.because,
        computed=computed,
        seconds=round(seconds, 1),
        errors=sum(n for what, n in clients.answers.items() if not what.startswith("version")),
        numbers="" if ended.verdict is None else ended.verdict.explained(),
        held=good_held if case.good else bad_held,
    )


def cases(good: int) -> Iterator[Case]:
    canary, shadow = RolloutKind.CANARY, RolloutKind.SHADOW
    yield Case("wrong", shadow, 10_000, network(seed=1, mark="wrong"))
    yield Case("slow", canary, 1_000, network(layers=16, mark="slow"))
    yield Case("crash", canary, 1_000, crashing())
    for number in range(good):
        name = f"good {number}"
        kind, part = (canary, 5_000) if number % 2 else (shadow, 10_000)
        yield Case(name, kind, part, network(mark=name), good=True)


def measure(good: int, requests: int) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="plaza-rollouts-") as scratch:
        directory = Path(scratch)
        with Place(directory / "state").running() as place:
            place.register(network().write(directory / "stable"))
            for case in cases(good):
                version = place.register(case.graph.write(directory / case.name))
                results.append(run(place, case, version, requests))
                console.print(results[-1])
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = measure(asked.good, asked.requests)
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    console.print("held" if all(result.held for result in results) else "BROKEN")
    return 0 if all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
