"""A real hub with organisations that share it, and who was served how much, read from its ledger.

Every organisation has a budget, so that all the hub does per request is done here. What counts is
the requests that were finished in a stretch of time: moment of admission + latency, as recorded.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

import plaza
from benchmarks import graphs
from benchmarks.clients import Clients
from benchmarks.hub import Hub, running_hub
from benchmarks.peers import asked
from benchmarks.peers.asked import Asked

WARM_S = 1.5
SHIPPED_S = 2.0
"""Usage is shipped once a second."""
BUDGET = 10**15
SPEED = Path(__file__).parents[1] / "models" / "bundles" / "traffic-speed-quantiles"
"""A shipped forecaster, called through its task: half of what it costs is host time."""
CORES = 2
"""Worker threads of all replicas together."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time under load and what the clients were told in it and before it."""

    start_us: int
    end_us: int
    told: Mapping[str, Mapping[str, int]]

    @property
    def seconds(self) -> float:
        return (self.end_us - self.start_us) / 1e6

    def roughly(self, name: str) -> float:
        """Requests per second by the clients' own count, before the ledger can tell."""
        return self.told[name].get("ok", 0) / (self.seconds + WARM_S)


@dataclass(frozen=True, slots=True)
class Served:
    """What an organisation got in one stretch of time."""

    compute_us: int = 0
    """Device and host time."""
    per_second: float = 0.0
    """Requests."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Clients of one organisation: a closed loop, or `rate` requests per second."""

    connections: int
    rate: float | None = None
    model: str = "conv"


class SharedHub:
    """A running hub, the models `conv`, `tiny` and `speed`, a key for every organisation."""

    def __init__(self, hub: Hub, place: Path, names: Sequence[str], replicas: int) -> None:
        self.hub, self.replicas, self.names = hub, replicas, tuple(names)
        for graph, name in ((graphs.conv(), "conv"), (graphs.tiny(), "tiny")):
            hub.admin.models.register(graph.write(place / name), visibility="public")
        hub.admin.models.register(SPEED, visibility="public")
        self.keys: dict[str, str] = {}
        for name in names:
            hub.admin.orgs.create(name)
            hub.admin.quotas.set(name, BUDGET, period="total")
            self.keys[name] = hub.admin.keys.create(name, role="consumer").key
            self.until_answered(name)

    @property
    def port(self) -> int:
        return int(self.hub.environment["PLAZA_HTTP_PORT"])

    def request(self, organisation: str, model: str) -> bytes:
        """A whole HTTP request."""
        key = self.keys[organisation]
        if model in {"tiny", "conv"}:
            dialect = "json" if model == "tiny" else "binary"
            return asked.to_plaza(model, dialect, key).requests()[0]
        values = [60 + n % 7 for n in range(288)]
        body = json.dumps({"model": SPEED.name, "values": values, "horizon": 12}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return Asked("/v1/forecast", headers, (body,)).requests()[0]

    def weigh(self, weights: Mapping[str, int]) -> None:
        for name, weight in weights.items():
            self.hub.admin.shares.set(name, weight)
        time.sleep(1.5)  # until replicas have the new table

    def alone(self, name: str, *, among_others: bool) -> None:
        """Suspend or resume all others: whether `name` is the hub's only organisation."""
        for other in self.names:
            if other != name:
                change = self.hub.admin.orgs.resume if among_others else self.hub.admin.orgs.suspend
                change(other)
        time.sleep(1.5)

    def serve(self, demands: Mapping[str, Demand], seconds: float) -> Stretch:
        """Let all of them call for `WARM_S + seconds`; the latter part counts.

        Raises RuntimeError where a client was told anything but yes, later, or too late.
        """
        with ExitStack() as stack:
            clients = {
                name: stack.enter_context(
                    Clients(
                        self.port,
                        self.request(name, demand.model),
                        connections=demand.connections,
                        rate=demand.rate,
                    )
                )
                for name, demand in demands.items()
            }
            time.sleep(WARM_S)
            start = time.time_ns() // 1000
            time.sleep(seconds)
            end = time.time_ns() // 1000
        told = {name: dict(one.counts) for name, one in clients.items()}
        if wrong := {n: counts for n, counts in told.items() if counts.get("wrong")}:
            raise RuntimeError(f"unexpected answers: {wrong}")
        return Stretch(start, end, told)

    def served(self, stretch: Stretch) -> dict[str, Served]:
        """What the ledger says of a stretch; waits until all of it was shipped."""
        time.sleep(max(0.0, stretch.end_us / 1e6 + SHIPPED_S - time.time()))
        ledger = self._ledger(stretch.start_us, stretch.end_us)
        return {
            name: Served(compute, requests / stretch.seconds)
            for name, (compute, requests) in ledger.items()
        }

    def until_answered(self, name: str) -> None:
        client = self.hub.client(self.keys[name])
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            with contextlib.suppress(plaza.PlazaError, httpx.HTTPError):
                client.infer("conv", {"image": asked.numbers("conv")})
                client.infer("tiny", {"x": asked.numbers("tiny")})
                return
            time.sleep(0.2)
        raise TimeoutError("the models never became ready")

    def _ledger(self, start_us: int, end_us: int) -> dict[str, tuple[int, int]]:
        """Organisation -> (µs, requests) of what was answered between two moments."""
        database = sqlite3.connect(
            f"file:{self.hub.state_dir}/plaza.db?mode=ro", uri=True, timeout=10
        )
        with contextlib.closing(database):
            rows = database.execute(
                "SELECT organisations.name, SUM(compute_us + host_us), COUNT(*) FROM usage"
                " JOIN organisations ON organisations.id = organisation"
                " WHERE outcome = 'ok' AND kind = 'use'"
                " AND at_unix_us + latency_us BETWEEN ? AND ? GROUP BY 1",
                (start_us, end_us),
            ).fetchall()
        return {name: (int(compute), int(count)) for name, compute, count in rows}


@contextlib.contextmanager
def shared_hub(place: Path, names: Sequence[str], replicas: int) -> Iterator[SharedHub]:
    """A hub of its own for `names`, one worker thread per core over all replicas."""
    limits = {"rate_per_second": 100_000, "rate_burst": 100_000, "replicas": replicas}
    threads = max(1, CORES // replicas)
    with running_hub(place / "state", **limits, worker_threads=threads) as hub:
        yield SharedHub(hub, place, names, replicas)
