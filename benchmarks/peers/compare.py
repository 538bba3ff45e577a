"""One comparison: everybody who can take a dialect of a model, in turn, round after round.

In turn, so that a busy minute of the machine hits all alike; ratios are of the same round.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks.environments import environment
from benchmarks.hub import Hub
from benchmarks.peers import asked, rivals
from benchmarks.peers.asked import Asked
from benchmarks.peers.catalogue import SERVERS, Peer
from benchmarks.waiting import until_ok

Measure = Callable[[int, float], dict[str, float]]
DIALECTS = {
    "tiny": ("json", "binary", "grpc"),
    "conv": ("binary", "json", "grpc"),
    "detector": ("jpeg",),
    "embedder": ("json",),
    "encoder": ("json",),
}
CONNECTIONS = {"conv": (1, 8, 64)}
USUAL = (1, 16, 64)
FIELDS = ("requests_per_second", "p50_ms", "p99_ms", "cpu_us")
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run measures."""

    models: tuple[str, ...]
    dialects: tuple[str, ...]
    """Empty: each model's own."""
    connections: tuple[int, ...]
    """Empty: each model's own."""
    peers: tuple[Peer, ...]
    alone: bool
    rounds: int
    seconds: float
    environments: Path

    def dialects_of(self, model: str) -> tuple[str, ...]:
        return tuple(d for d in DIALECTS[model] if not self.dialects or d in self.dialects)

    def connections_of(self, model: str) -> tuple[int, ...]:
        return self.connections or CONNECTIONS.get(model, USUAL)


def prepare(hub: Hub, scratch: Path, models: Collection[str]) -> str:
    """Register these models; returns the key that measures (`consumer`)."""
    admin = hub.admin
    for model in models:
        admin.models.register(asked.bundle(model, scratch), visibility="public")
    key = consumer(hub)
    for model in models:
        until_answered(hub, asked.to_plaza(model, DIALECTS[model][0], key))
    return key


def consumer(hub: Hub) -> str:
    """A key with a budget, of an organisation whose limits do not slow a measurement."""
    admin = hub.admin
    admin.orgs.create("bench")
    admin.orgs.limit("bench", per_second=1e6, burst=1_000_000)
    admin.quotas.set("bench", 10**15, period="total")
    return admin.keys.create("bench", role="consumer").key


def until_answered(hub: Hub, load: Asked) -> None:
    """Until the first of these requests is answered with 200. Raises TimeoutError."""

    def ask() -> httpx.Response:
        return httpx.post(f"{hub.url}{load.path}", content=load.bodies[0], headers=load.headers)

    until_ok(ask, 30)


def run(plan: Plan, hub: Hub, key: str, scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the comparison, what was found so far), after every round."""
    for model in plan.models:
        for dialect in plan.dialects_of(model):
            with contextlib.ExitStack() as servers:
                ours = rivals.plaza(hub, key, model, dialect)
                everybody: dict[str, Measure] = {"plaza": ours.measure}
                if plan.alone and dialect != "grpc":
                    everybody["alone"] = alone(model, dialect, scratch)
                skipped: dict[str, str] = {}
                for peer in plan.peers:
                    cell = (model, dialect)
                    found = _start(peer, cell, plan.environments, scratch, servers)
                    if isinstance(found, str):
                        skipped[peer.name] = found
                    else:
                        everybody[peer.name] = found
                for connections in plan.connections_of(model):
                    name = f"{model} {dialect} {connections}"
                    for rows in _rounds(name, everybody, skipped, connections, plan):
                        yield name, _told(rows, skipped, plan.seconds)


def ratios(found: dict[str, Any], theirs: str) -> list[float]:
    """Plaza's requests per second over another's, round by round."""
    rows = found["rows"]
    pairs = zip(
        rows["plaza"]["requests_per_second"], rows[theirs]["requests_per_second"], strict=True
    )
    return [ours / others for ours, others in pairs]


def _start(
    peer: Peer, cell: tuple[str, str], home: Path, scratch: Path, servers: contextlib.ExitStack
) -> Measure | str:
    """How the peer is measured with this model and dialect, or why it is not."""
    model, dialect = cell
    can = peer.dialects[asked.KINDS[model]]
    own = can[0] if asked.KINDS[model] == "picture" else dialect
    if own not in can:
        return f"has no {dialect}"
    try:
        python = Path(sys.executable)
        if peer.lock:
            python = environment(home, peer.lock)
        rival = servers.enter_context(rivals.up(peer, python, model, own, scratch))
    except subprocess.CalledProcessError:
        return "its packages could not be installed"
    except RuntimeError as error:
        console.print(str(error), style="red", markup=False)
        return "it did not start: " + str(error).strip().splitlines()[-1][:160]
    rival.freeze()
    return rival.measure


def alone(model: str, dialect: str, scratch: Path) -> Measure:
    """ONNX Runtime in process on every core. Connections mean nothing to it."""
    load = asked.to_peer("alone", model, "binary" if dialect == "jpeg" else dialect)
    program = str(SERVERS / "alone_server.py")
    environment_ = {
        "MODEL": model,
        "BUNDLE": str(asked.bundle(model, scratch)),
        "DIALECT": dialect,
        "PYTHONPATH": rivals.rooms(),
        "OMP_NUM_THREADS": "1",
    }

    def measure(_connections: int, seconds: float) -> dict[str, float]:
        arguments = [str(seconds), *(str(len(body)) for body in load.bodies)]
        done = subprocess.run(  # noqa: S603 our own command
            [sys.executable, program, *arguments],
            input=b"".join(load.bodies),
            env=environment_,
            capture_output=True,
            check=True,
        )
        told: dict[str, float] = json.loads(done.stdout)
        return told

    return measure


def _rounds(
    name: str,
    everybody: dict[str, Measure],
    skipped: dict[str, str],
    connections: int,
    plan: Plan,
) -> Iterator[dict[str, list[dict[str, float]]]]:
    """After each round what there is so far: a run that is cut short keeps its whole rounds. A
    server that can no longer be measured goes from `everybody` to `skipped`."""
    rows: dict[str, list[dict[str, float]]] = {who: [] for who in everybody}
    for number in range(plan.rounds):
        for who, measure in list(everybody.items()):
            try:
                found = _answered(measure(connections, plan.seconds))
            except subprocess.SubprocessError as error:
                if who == "plaza":
                    raise
                said = getattr(error, "stderr", str(error))
                console.print(f"[red]{name}: {who}: {said!r}", highlight=False)
                skipped[who] = f"it stopped answering, {connections} connections"
                del everybody[who], rows[who]
                continue
            rows[who].append(found)
            speed = f"{found['requests_per_second']:>9,.0f}/s"
            console.print(f"{name}, round {number + 1}: {who:<10}{speed}", highlight=False)
        yield rows


def _answered(found: dict[str, float]) -> dict[str, float]:
    if not found["requests_per_second"]:
        raise subprocess.SubprocessError("it answers nothing but errors")
    return found


def _told(
    rows: dict[str, list[dict[str, float]]], skipped: dict[str, str], seconds: float
) -> dict[str, Any]:
    def row(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
        values = {field: [round(run[field], 3) for run in runs] for field in FIELDS}
        return {**values, "errors": int(sum(run["errors"] for run in runs))}

    told = {who: row(runs) for who, runs in rows.items()}
    rounds = len(rows["plaza"])
    return {"rounds": rounds, "seconds": seconds, "rows": told, "skipped": skipped}


def median(found: dict[str, Any], who: str, field: str) -> float:
    return statistics.median(found["rows"][who][field])
