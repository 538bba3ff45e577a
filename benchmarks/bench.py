"""`make bench`: what Plaza's front door costs, measured in one run on this machine.

Rows are measured in turn, five times over, and compared by the median of the ratios, so that a
busy minute of the machine hits both sides alike. Written to `benchmarks/results/front-door.json`.

    tiny   whole front door : bare uvicorn + ONNX Runtime
    conv   whole front door : ONNX Runtime in this process

The whole front door: HAProxy, key, rate, budget lease, fair queue, usage written, ledger. What of
it is the hub's own bookkeeping, without transport and model, is measured beside them in µs
(`benchmarks/admission.py`), and so is what a cell adds to a call (`benchmarks/cells.py`).

A row beside them, bare uvicorn on every core with the convolution, shows what any HTTP server in
front of that model could reach while the load generator shares the cores.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import plaza
from benchmarks import admission, cells, graphs, wrk
from benchmarks.hub import Hub, free_ports, running_hub
from plaza_accel.providers.cpu import provider
from plaza_core.manifest import MANIFEST_FILE, parse_manifest

ROUNDS = 5
SECONDS = 4.0
CELL_SECONDS = 20.0
CONNECTIONS = 16
RESULTS = Path(__file__).parent / "results" / "front-door.json"
BARS = {"tiny": 0.25, "conv": 0.9}

Measure = Callable[[], dict[str, float]]


def http_request(host: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def load(port: int, request: bytes, connections: int = CONNECTIONS) -> dict[str, float]:
    """Run the load generator as its own process against a loopback port: wrk, else our own."""
    if wrk.installed():
        return wrk.run(port, connections, SECONDS, request)
    arguments = ["127.0.0.1", str(port), str(connections), str(SECONDS)]
    done = subprocess.run(  # noqa: S603 our own command
        [sys.executable, "-m", "benchmarks.load", *arguments],
        input=request,
        capture_output=True,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def load_each(ports: list[int], request: bytes) -> dict[str, float]:
    """The same connections spread over several servers; their requests per second add up."""
    share = CONNECTIONS // len(ports)
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(lambda port: load(port, request, share), ports))
    total = {name: sum(part[name] for part in parts) for name in ("requests_per_second", "errors")}
    return {**total, **{name: max(p[name] for p in parts) for name in ("p50_ms", "p99_ms")}}


def tiny_body() -> bytes:
    data = [0.1, 0.2, 0.3, 0.4]
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def conv_body(size: int) -> tuple[bytes, int]:
    """(binary Open Inference body, length of its JSON head)."""
    image = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    tensor = {
        "name": "image",
        "shape": list(image.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": image.nbytes},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + image.tobytes(), len(head)


def in_process(directory: Path, size: int) -> dict[str, float]:
    """ONNX Runtime alone: one thread per core calling one session, nothing around it."""
    runner = provider.open(directory, parse_manifest((directory / MANIFEST_FILE).read_bytes()))
    image = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    counts = [0] * (os.cpu_count() or 1)
    stop = threading.Event()

    def work(slot: int) -> None:
        while not stop.is_set():
            runner.run({"image": image})
            counts[slot] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(counts))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    runner.close()
    return {"requests_per_second": sum(counts) / elapsed}


@contextlib.contextmanager
def bare_server(directory: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    process = subprocess.Popen(  # noqa: S603 our own command
        [sys.executable, "-m", "benchmarks.bare", str(port), str(directory)]
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def prepare(hub: Hub, directories: dict[str, Path]) -> str:
    """Register the models and return a key whose limits do not slow the measurement."""
    admin = hub.admin
    for directory in directories.values():
        admin.models.register(directory, visibility="public")
    admin.orgs.create("bench")
    admin.orgs.limit("bench", per_second=1e6, burst=1_000_000)
    admin.quotas.set("bench", 10**15, period="total")
    key = admin.keys.create("bench", role="consumer").key
    client = hub.client(key)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(plaza.PlazaError):
            client.infer("tiny", {"x": np.zeros((1, 4), np.float32)})
            client.infer("conv", {"image": np.zeros((1, 3, conv_size(), conv_size()), np.float32)})
            return key
        time.sleep(0.2)
    raise TimeoutError("the measured models never became ready")


def conv_size() -> int:
    return int(graphs.conv().manifest["signature"]["inputs"][0]["shape"][2])


def measure(rows: dict[str, Measure], progress: Progress) -> dict[str, list[dict[str, float]]]:
    task = progress.add_task("measuring", total=ROUNDS * len(rows))
    results: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, row in rows.items():
            progress.update(task, description=name)
            results[name].append(row())
            progress.advance(task)
    return results


def ratio(results: dict[str, list[dict[str, float]]], ours: str, theirs: str) -> dict[str, Any]:
    pairs = zip(results[ours], results[theirs], strict=True)
    values = [a["requests_per_second"] / b["requests_per_second"] for a, b in pairs]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def bookkeeping() -> dict[str, Any]:
    """Authentication, admission, settlement and spool per request: the median of five runs."""
    runs = sorted((admission.measure() for _ in range(ROUNDS)), key=lambda r: r["whole"]["p50_us"])
    return {"steps": runs[ROUNDS // 2], "bar_us": admission.BAR_US}


def report(
    results: dict[str, list[dict[str, float]]], books: dict[str, Any], cell: dict[str, Any]
) -> dict[str, Any]:
    return {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "rounds": ROUNDS,
        "connections": CONNECTIONS,
        "generator": "wrk" if wrk.installed() else "benchmarks.load",
        "ratios": {
            "tiny": ratio(results, "tiny: Plaza", "tiny: bare uvicorn"),
            "conv": ratio(results, "conv: Plaza", "conv: in process"),
            "conv, bare": ratio(results, "conv: bare uvicorn on each core", "conv: in process"),
        },
        "bars": BARS,
        "bookkeeping": books,
        "cells": cell,
        "rows": results,
    }


def show(document: dict[str, Any], console: Console) -> None:
    table = Table("row", "requests/s (median)", "p50 ms", "p99 ms", "errors")
    for name, runs in document["rows"].items():

        def middle(field: str, runs: list[dict[str, float]] = runs) -> str:
            values = [run[field] for run in runs if field in run]
            return f"{statistics.median(values):,.2f}" if values else "-"

        errors = f"{sum(run.get('errors', 0) for run in runs):.0f}"
        table.add_row(
            name, middle("requests_per_second"), middle("p50_ms"), middle("p99_ms"), errors
        )
    console.print(table)
    for name, value in document["ratios"].items():
        bar = document["bars"].get(name)
        verdict = ""
        if bar is not None:
            verdict = f"bar {bar}: {'holds' if _holds(document, name) else 'FALLS SHORT'}"
        console.print(
            f"{name}: ratio {value['median']:.3f} "
            f"({value['min']:.3f} to {value['max']:.3f}) {verdict}"
        )
    books = document["bookkeeping"]
    for name, cuts in books["steps"].items():
        console.print(f"{name}: p50 {cuts['p50_us']} µs, p99 {cuts['p99_us']} µs")
    verdict = "holds" if _books_hold(document) else "FALLS SHORT"
    console.print(f"bookkeeping per request: bar {books['bar_us']} µs at p50: {verdict}")
    cell = document["cells"]
    for name in ("raw", "task"):
        inside, outside = cell[name]["cell"]["p50_us"], cell[name]["in process"]["p50_us"]
        console.print(f"{name} call: p50 {outside} µs in process, {inside} µs in a cell")
    verdict = "holds" if cells.holds(cell) else "FALLS SHORT"
    more, bar = cell["overhead_us"], cell["bar_us"]
    console.print(f"a raw call in a cell: {more} µs more, bar {bar} µs at p50: {verdict}")


def _holds(document: dict[str, Any], name: str) -> bool:
    return bool(document["ratios"][name]["median"] >= document["bars"][name])


def _books_hold(document: dict[str, Any]) -> bool:
    books = document["bookkeeping"]
    return bool(books["steps"]["whole"]["p50_us"] <= books["bar_us"])


def main() -> int:
    console = Console()
    size = conv_size()
    with tempfile.TemporaryDirectory(prefix="plaza-bench-") as scratch:
        place = Path(scratch)
        models = {n: graphs.tiny() if n == "tiny" else graphs.conv() for n in BARS}
        directories = {n: g.write(place / "models" / n) for n, g in models.items()}
        console.print("starting the hub")
        with contextlib.ExitStack() as servers:
            hub = servers.enter_context(running_hub(place / "state"))
            bare = servers.enter_context(bare_server(directories["tiny"]))
            cores = [
                servers.enter_context(bare_server(directories["conv"]))
                for _ in range(os.cpu_count() or 1)
            ]
            key = {"Authorization": f"Bearer {prepare(hub, directories)}"}
            port = int(hub.environment["PLAZA_HTTP_PORT"])
            conv, head = conv_body(size)
            tiny = http_request(
                "hub",
                "/v2/models/tiny/infer",
                tiny_body(),
                {**key, "Content-Type": "application/json"},
            )
            picture = http_request(
                "hub",
                "/v2/models/conv/infer",
                conv,
                {**key, "Inference-Header-Content-Length": str(head)},
            )
            plain = http_request("bare", "/", tiny_body(), {"Content-Type": "application/json"})
            raw = http_request("bare", "/", conv, {"Inference-Header-Content-Length": str(head)})
            rows: dict[str, Measure] = {
                "tiny: bare uvicorn": lambda: load(bare, plain),
                "tiny: Plaza": lambda: load(port, tiny),
                "conv: in process": lambda: in_process(directories["conv"], size),
                "conv: Plaza": lambda: load(port, picture),
                "conv: bare uvicorn on each core": lambda: load_each(cores, raw),
            }
            with Progress(console=console) as progress:
                results = measure(rows, progress)
        console.print("measuring what admission and bookkeeping cost")
        books = bookkeeping()
        console.print("measuring what a cell costs")
        document = report(results, books, cells.measure(CELL_SECONDS))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    show(document, console)
    held = all(_holds(document, name) for name in BARS) and _books_hold(document)
    held = held and cells.holds(document["cells"])
    return 0 if held and not any(r.get("errors") for rs in results.values() for r in rs) else 1


if __name__ == "__main__":
    sys.exit(main())
