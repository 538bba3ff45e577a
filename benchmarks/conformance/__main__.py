"""`make conformance`: a hub, every client against it, `docs/conformance.md` written anew.

    python -m benchmarks.conformance [CLIENT …] [--environments DIR] [--page FILE]

With names of clients only those run, and the page is printed. Fails when a client does. Triton's
own example programs run where PLAZA_TRITON_EXAMPLES says that they lie; no package brings them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.conformance import models
from benchmarks.conformance.environments import Script, interpreter, scripts
from benchmarks.conformance.page import page
from benchmarks.conformance.running import Report, addresses, prepare, run
from benchmarks.hub import running_hub

ROOT = Path(__file__).parents[2]
console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance")
    parser.add_argument("clients", nargs="*", metavar="CLIENT")
    parser.add_argument("--environments", type=Path, default=ROOT / ".conformance")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "conformance.md")
    asked = parser.parse_args()
    chosen = [s for s in scripts() if not asked.clients or s.path.stem in asked.clients]
    ready = {script: _ready(script, asked.environments) for script in chosen}
    with tempfile.TemporaryDirectory(prefix="plaza-conformance-") as scratch:
        reports = _reports(ready, Path(scratch))
    written = page(reports)
    if asked.clients:
        sys.stdout.write(written)
    else:
        asked.page.write_text(written, encoding="utf-8")
    sys.exit(any(not report.passed and not report.skipped for report in reports))


def _reports(ready: dict[Script, Path | str], place: Path) -> list[Report]:
    """First of clients with a key; then of those without, on the same hub started anew."""
    limits = {"rate_per_second": 1e6, "rate_burst": 10**6, "pools": json.dumps(models.pools())}
    with running_hub(place / "state", **limits) as hub:
        told = prepare(hub, place / "models")
        reports = [_report(one, at, told) for one, at in ready.items() if not one.keyless]
    keyless = {one: at for one, at in ready.items() if one.keyless}
    if not any(isinstance(at, Path) for at in keyless.values()):
        return reports + [_report(one, at, told) for one, at in keyless.items()]
    with running_hub(place / "state", loopback_key=told["PLAZA_KEY"], **limits) as hub:
        told |= addresses(hub)
        return reports + [_report(one, at, told) for one, at in keyless.items()]


def _ready(script: Script, home: Path) -> Path | str:
    """The script's interpreter, or why there is none."""
    missing = script.missing()
    if missing:
        return missing
    console.print(f"environment of {script.client}")
    try:
        return interpreter(script, home)
    except subprocess.CalledProcessError:
        return "its packages could not be installed"


def _report(script: Script, ready: Path | str, told: dict[str, str]) -> Report:
    if isinstance(ready, str):
        console.print(f"[yellow]{script.path.stem}: not run: {ready}")
        return Report(script, skipped=ready)
    report = run(script, ready, told)
    colour = "green" if report.passed else "red"
    for one in report.calls:
        console.print(f"[{colour}]{script.path.stem}[/]: {one.call} {one.problem or ''}")
    return report


if __name__ == "__main__":
    main()
