"""Who gets how much of a real hub, read from its ledger: one measurement per scenario.

    flooder   four organisations of one weight, one of them with ten times the clients of each other
    weights   three organisations of weights 1, 2 and 4, all with the same clients
    idle      one organisation busy, three idle, then all of them with as many clients together

Clients call the 5 ms convolution in a closed loop. An organisation is entitled to its weight's part
of the compute that all had together; the ledger's device and host time is what counts.

    python -m benchmarks.fairness [flooder] [weights] [idle] [--replicas 1 2] [--seconds 15]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

import plaza
from benchmarks import graphs
from benchmarks.bench import conv_body, conv_size
from benchmarks.chaos import Traffic
from benchmarks.hub import Hub, running_hub

WARM_S = 3.0
LEDGER_S = 3.0
"""Usage is shipped once a second."""
POLITE = 8
"""Clients of a polite organisation, per replica: shares are kept in each replica by itself, so who
has nobody waiting in one of them cannot have its part there."""
console = Console()


@dataclass(frozen=True, slots=True)
class Part:
    """What one organisation had in one measurement."""

    organisation: str
    weight: int
    clients: int
    compute_us: int
    requests: int
    refused: int
    entitled: float
    """Part of all compute that it was entitled to, 0 to 1."""
    got: float


@dataclass(frozen=True, slots=True)
class Measured:
    scenario: str
    replicas: int
    seconds: float
    parts: list[Part]

    @property
    def jain(self) -> float:
        """Of what each had over what it was entitled to: 1 when all had the same."""
        ratios = [p.got / p.entitled for p in self.parts]
        return sum(ratios) ** 2 / (len(ratios) * sum(r * r for r in ratios))

    @property
    def compute_us(self) -> int:
        return sum(p.compute_us for p in self.parts)

    def least(self, *names: str) -> float:
        """The smallest part of its entitlement that one of these had."""
        return min(p.got / p.entitled for p in self.parts if p.organisation in names)

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "jain": round(self.jain, 4)}

    def show(self) -> None:
        table = Table(title=f"{self.scenario}, replicas: {self.replicas}, Jain {self.jain:.4f}")
        for name in ("organisation", "weight", "clients", "requests/s", "refused", "got", "of its"):
            table.add_column(name, justify="right")
        for p in self.parts:
            numbers = [p.weight, p.clients, round(p.requests / self.seconds), p.refused]
            ratios = [f"{p.got:.3f}", f"{p.got / p.entitled:.3f}"]
            table.add_row(p.organisation, *map(str, numbers), *ratios)
        console.print(table)


class Bench:
    """A hub with the convolution and four organisations whose rates do not slow them."""

    def __init__(self, hub: Hub, place: Path, replicas: int) -> None:
        self.hub, self.replicas = hub, replicas
        hub.admin.models.register(graphs.conv().write(place / "conv"), visibility="public")
        self.keys: dict[str, str] = {}
        for name in ("o1", "o2", "o3", "o4"):
            hub.admin.orgs.create(name)
            self.keys[name] = hub.admin.keys.create(name, role="consumer").key
        image = np.zeros((1, 3, conv_size(), conv_size()), np.float32)
        for key in self.keys.values():
            _until_answered(hub.client(key), image)
        self._body, self._head = conv_body(conv_size())

    def weigh(self, weights: Mapping[str, int]) -> bool:
        """Set shares through the admin API. False where this hub does not offer it."""
        for name, weight in weights.items():
            answer = httpx.put(
                f"{self.hub.control_url}/api/v1/shares",
                json={"organisation": name, "weight": weight},
                headers={"authorization": f"Bearer {self.hub.admin_key}"},
            )
            if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
                return False
            answer.raise_for_status()
        return True

    def measure(
        self,
        scenario: str,
        clients: Mapping[str, int],
        seconds: float,
        weights: Mapping[str, int] | None = None,
    ) -> Measured:
        weigh = {name: (weights or {}).get(name, 1) for name in clients}
        with ExitStack() as stack:
            traffic = {n: stack.enter_context(self._traffic(n, c)) for n, c in clients.items()}
            time.sleep(WARM_S)
            start = time.time_ns() // 1000
            refused = {n: t.journal.counts["refused"] for n, t in traffic.items()}
            time.sleep(seconds)
            end = time.time_ns() // 1000
            refused = {n: t.journal.counts["refused"] - refused[n] for n, t in traffic.items()}
        time.sleep(LEDGER_S)
        wrong = [text for t in traffic.values() for text in t.journal.wrong]
        if wrong:
            raise RuntimeError(f"unexpected answers: {wrong[:3]}")
        ledger = _ledger(self.hub.state_dir, start, end)
        whole = sum(compute for compute, _ in ledger.values())
        parts = [
            Part(
                organisation=name,
                weight=weigh[name],
                clients=count,
                compute_us=ledger[name][0],
                requests=ledger[name][1],
                refused=refused[name],
                entitled=weigh[name] / sum(weigh.values()),
                got=ledger[name][0] / whole,
            )
            for name, count in clients.items()
        ]
        measured = Measured(scenario, self.replicas, seconds, parts)
        measured.show()
        return measured

    def _traffic(self, organisation: str, clients: int) -> Traffic:
        headers = {
            "Authorization": f"Bearer {self.keys[organisation]}",
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(self._head),
        }
        port = int(self.hub.environment["PLAZA_HTTP_PORT"])
        return Traffic(port, "/v2/models/conv/infer", self._body, headers, clients)


def flooder(bench: Bench, seconds: float) -> tuple[bool, list[Measured]]:
    """Each polite organisation keeps 95 % of its entitlement; Jain's index is 0.95 or more."""
    polite = POLITE * bench.replicas
    clients = {"o1": 10 * polite, "o2": polite, "o3": polite, "o4": polite}
    measured = bench.measure("flooder", clients, seconds)
    return measured.least("o2", "o3", "o4") >= 0.95 and measured.jain >= 0.95, [measured]


def weights(bench: Bench, seconds: float) -> tuple[bool, list[Measured]]:
    """Each gets its weight's part within 5 %."""
    wanted = {"o1": 1, "o2": 2, "o3": 4}
    if not bench.weigh(wanted):
        console.print("weights: this hub has no verb for shares; not measured")
        return True, []
    time.sleep(2)
    clients = dict.fromkeys(wanted, 3 * POLITE * bench.replicas)
    measured = bench.measure("weights", clients, seconds, wanted)
    bench.weigh(dict.fromkeys(wanted, 1))
    return all(abs(p.got / p.entitled - 1) <= 0.05 for p in measured.parts), [measured]


def idle(bench: Bench, seconds: float) -> tuple[bool, list[Measured]]:
    """One alone gets 95 % of what four together get out of the same hub.

    In the order together, alone, alone, together, twice, so that a machine that becomes faster or
    slower meanwhile favours neither.
    """
    each = POLITE * bench.replicas
    alone = {"o1": 4 * each}
    together = dict.fromkeys(bench.keys, each)
    order = [together, alone, alone, together] * 2
    measured = [bench.measure("idle", clients, seconds / 3) for clients in order]
    total = {
        count: sum(m.compute_us for m in measured if len(m.parts) == count) for count in (1, 4)
    }
    lent = total[1] / total[4]
    console.print(f"lent: {lent:.3f} of what all four had together")
    return lent >= 0.95, measured


SCENARIOS: dict[str, Callable[[Bench, float], tuple[bool, list[Measured]]]] = {
    "flooder": flooder,
    "weights": weights,
    "idle": idle,
}


def prove(names: list[str], replicas: int, seconds: float) -> dict[str, Any]:
    """The scenarios on one hub, one after the other."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="plaza-fair-") as scratch:
        place = Path(scratch)
        limits = {"rate_per_second": 100_000, "rate_burst": 100_000, "replicas": replicas}
        with running_hub(place / "state", **limits) as hub:
            bench = Bench(hub, place, replicas)
            for name in names:
                held, measured = SCENARIOS[name](bench, seconds)
                results[name] = {"held": held, "measured": [m.document() for m in measured]}
                console.print(f"{name}, replicas {replicas}: {'held' if held else 'BROKEN'}")
    return results


def _ledger(state_dir: Path, start_us: int, end_us: int) -> dict[str, tuple[int, int]]:
    """Organisation -> (compute and host µs, requests) that were admitted in that time."""
    with sqlite3.connect(f"file:{state_dir}/plaza.db?mode=ro", uri=True, timeout=10) as database:
        rows = database.execute(
            "SELECT organisations.name, SUM(compute_us + host_us), COUNT(*) FROM usage"
            " JOIN organisations ON organisations.id = organisation"
            " WHERE outcome = 'ok' AND at_unix_us BETWEEN ? AND ? GROUP BY 1",
            (start_us, end_us),
        ).fetchall()
    return {name: (int(compute), int(count)) for name, compute, count in rows}


def _until_answered(client: plaza.Client, image: Any) -> None:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        with contextlib.suppress(plaza.PlazaError):
            client.infer("conv", {"image": image})
            return
        time.sleep(0.2)
    raise TimeoutError("the convolution never became ready")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=15.0)
    asked = parser.parse_args()
    names = asked.scenarios or list(SCENARIOS)
    results = {f"replicas {n}": prove(names, n, asked.seconds) for n in asked.replicas}
    console.print(json.dumps({k: {n: r["held"] for n, r in v.items()} for k, v in results.items()}))
    return 0 if all(r["held"] for v in results.values() for r in v.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
