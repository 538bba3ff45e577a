"""What the same request is charged beside quiet and beside busy neighbours.

A probe sends the same request every 25 ms and reads `x-plaza-charge` from each answer: alone
(quiet), beside three organisations that call the same model without pause (same), and beside three
that call another one (other). In turn and several times on one hub. Per round the p95 of the
charge in each; the medians over the rounds count: busy / quiet differs from 1 by 0.2 or less.

`conv` and `tiny` are device time. `speed` is a task, most of it host time, which is cheaper where
neighbours keep it warm; of it only is asked that it is not dearer (docs/decisions/0016).

    python -m benchmarks.price [--seconds 5] [--rounds 3] [--models conv tiny]
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.clients import Clients
from benchmarks.sharing import WARM_S, SharedHub, shared_hub

PROBE = "probe"
NEIGHBOURS = ("n1", "n2", "n3")
CLIENTS = 8
EVERY_S = 0.025
SPREAD = 0.2
RESOLUTION_US = 2
"""Charges are whole microseconds, of each of two ends: a fifth of 5 µs cannot be told."""
MODELS = ("conv", "tiny", "speed")
HOST_TIME = {"speed"}

console = Console(highlight=False)


@contextmanager
def neighbours(hub: SharedHub, model: str | None) -> Iterator[None]:
    """Three organisations that call one model without pause; None: nobody."""
    with ExitStack() as stack:
        for name in NEIGHBOURS if model else ():
            request = hub.request(name, str(model))
            stack.enter_context(Clients(hub.port, request, connections=CLIENTS))
        time.sleep(WARM_S)
        yield


def charges(hub: SharedHub, model: str, seconds: float) -> list[tuple[int, int]]:
    """(charge, rows of the run it shared) of every answer to the probe."""
    head, _, body = hub.request(PROBE, model).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=15)
    found, stop, due = [], time.monotonic() + seconds, time.monotonic()
    while due < stop:
        due = max(due + EVERY_S, time.monotonic())
        connection.request("POST", first.split()[1], body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the probe was told {answer.status}")
        told = answer.headers
        found.append((int(told["x-plaza-charge"]), int(told["x-plaza-batch-rows"])))
        time.sleep(max(0.0, due - time.monotonic()))
    connection.close()
    return found


def p95(found: Sequence[tuple[int, int]]) -> float:
    return statistics.quantiles((charge for charge, _ in found), n=20)[18]


def compare(hub: SharedHub, model: str, seconds: float, rounds: int) -> dict[str, Any]:
    other = next(m for m in MODELS if m != model)
    manners = {"quiet": None, "same": model, "other": other}
    tails: dict[str, list[float]] = {manner: [] for manner in manners}
    middles: dict[str, list[float]] = {manner: [] for manner in manners}
    for _ in range(rounds):
        for manner, busy in manners.items():
            with neighbours(hub, busy):
                found = charges(hub, model, seconds)
            tails[manner].append(p95(found))
            middles[manner].append(statistics.median(charge for charge, _ in found))
            rows = statistics.mean(rows for _, rows in found)
            least, most = min(found)[0], max(found)[0]
            console.print(
                f"  {model}, {manner:6} charge p50 {middles[manner][-1]:7.0f} p95"
                f" {tails[manner][-1]:7.0f} ({least} to {most}), {len(found)} requests,"
                f" {rows:.1f} rows a run"
            )
    tail = {manner: statistics.median(values) for manner, values in tails.items()}
    ratios = {manner: round(tail[manner] / tail["quiet"], 4) for manner in ("same", "other")}
    console.print(f"{model}: p95 beside busy neighbours / quiet: {ratios}")
    low = 0.0 if model in HOST_TIME else 1 - SPREAD
    held = all(
        low <= ratios[manner] <= 1 + SPREAD or abs(tail[manner] - tail["quiet"]) <= RESOLUTION_US
        for manner in ratios
    )
    return {"p95": tails, "p50": middles, "ratios": ratios, "held": held}


def prove(
    replicas: int = 1, seconds: float = 5.0, rounds: int = 3, models: Sequence[str] = MODELS
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="plaza-price-") as scratch,
        shared_hub(Path(scratch), (PROBE, *NEIGHBOURS), replicas) as hub,
    ):
        results: dict[str, Any] = {m: compare(hub, m, seconds, rounds) for m in models}
    return {**results, "held": all(r["held"] for r in results.values())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    result = prove(1, asked.seconds, asked.rounds, asked.models)
    console.print(json.dumps(result, indent=1))
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
