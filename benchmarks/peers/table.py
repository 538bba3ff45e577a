"""What was found as a page of tables, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.peers.catalogue import FLOOR, PEERS
from benchmarks.peers.compare import median, ratios

TITLES = {
    "plaza": "**Plaza**, everything on",
    "alone": "ONNX Runtime in process",
    **{peer.name: peer.title for peer in PEERS},
}
BARS: dict[str, dict[str, float]] = {
    "tiny json 16": {"uvicorn": 0.38, "mlserver": 3.5, "litserve": 7, "bentoml": 13, "ray": 40},
    "conv binary 8": {
        "alone": 0.95, "uvicorn": 1, "mosec": 1, "litserve": 1, "bentoml": 1, "ray": 1,
        "ray-tuned": 1,
    },
    "detector jpeg 16": {"alone": 0.90},
    "encoder json 64": {name: 1.5 for name in TITLES if name not in {"plaza", "alone", FLOOR}},
}  # fmt: skip
"""Plaza's requests per second over another's, at least. Whoever answers a part of what it is asked
with errors, which take no time, is no measure."""

_ALONE = 5
"""Percent of its processors up to which a machine counts as having nothing else to do."""
HEAD = """# What was measured

Written by `make bench`, which `docs/benchmarks.md` explains. Medians over the rounds; a ratio is
Plaza's requests per second over the other's in the same round, with the smallest and largest. CPU:
processor time, user and system, of the server's whole tree of processes per request.
"""


def page(document: dict[str, Any]) -> str:
    lines = [HEAD, *_machine(document)]
    for name, found in sorted(document.get("comparisons", {}).items(), key=_order):
        lines += ["", *_comparison(name, found)]
    for name, write in (
        ("latency", _latency),
        ("overload", _overload),
        ("density", _density),
        ("books", _books),
        ("cells", _cells),
    ):
        if name in document:
            lines += ["", *write(document[name])]
    return "\n".join(lines) + "\n"


def verdicts(document: dict[str, Any]) -> Iterator[tuple[str, float, float, bool]]:
    """(what, median ratio, bar, held) of every bar that was measured."""
    for name, bars in BARS.items():
        found = document.get("comparisons", {}).get(name)
        for theirs, bar in bars.items() if found else ():
            if theirs in found["rows"] and not found["rows"][theirs]["errors"]:
                value = statistics.median(ratios(found, theirs))
                yield f"{name}: {TITLES[theirs]}", value, bar, value >= bar


def _machine(document: dict[str, Any]) -> list[str]:
    machine = document["machine"]
    said = f"{machine['cpus']} cores ({machine['processor']}), Python {machine['python']}"
    path = f"Plaza's data path {machine['data_path']}"
    return [f"Machine: {said}; load generator on it: {machine['generator']}; {path}."]


def _order(item: tuple[str, Any]) -> tuple[str, str, int]:
    model, dialect, connections = item[0].split()
    return model, dialect, int(connections)


def _comparison(name: str, found: dict[str, Any]) -> list[str]:
    model, dialect, connections = name.split()
    many = "connection" if connections == "1" else "connections"
    lines = [
        f"## {model}, {dialect}, {connections} {many}",
        "",
        f"{found['rounds']} rounds of {found['seconds']:g} s, {_when(found)}.",
        "",
        "| server | requests/s | Plaza is × | p50 ms | p99 ms | CPU µs/request | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    bars = BARS.get(name, {})
    for who in sorted(found["rows"], key=lambda one: -median(found, one, "requests_per_second")):
        errors = found["rows"][who]["errors"]
        bar = None if errors else bars.get(who)
        ratio = "" if who == "plaza" else _spread(ratios(found, who), bar)
        cuts = (f"{median(found, who, field):,.2f}" for field in ("p50_ms", "p99_ms"))
        cells = [
            TITLES[who],
            f"{median(found, who, 'requests_per_second'):,.0f}",
            ratio,
            *cuts,
            f"{median(found, who, 'cpu_us'):,.0f}",
            str(errors),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nNot measured: {TITLES[who]}: {why}." for who, why in found["skipped"].items()]
    return lines


def _spread(values: list[float], bar: float | None) -> str:
    middle = statistics.median(values)
    digits = 1 if middle >= 10 else 2
    text = f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
    if bar is None:
        return text
    return f"{text}; bar {bar:g}: {'holds' if middle >= bar else '**falls short**'}"


def _when(found: dict[str, Any]) -> str:
    busy = f"; **not alone**: others used {found['others_percent']:.0f} % of the machine"
    return str(found["on"]) + (busy if found["others_percent"] > _ALONE else "")


def _held(held: bool) -> str:
    return "holds" if held else "**falls short**"


def _latency(found: dict[str, Any]) -> list[str]:
    ratio = _spread(found["ratio"], None)
    lines = [
        "## conv, open loop at 70 % of capacity, beside an ideal queue",
        "",
        f"p99 over that of an ideal M/D/c queue: {ratio}; bar {found['bar']}: "
        f"{_held(found['held'])}. {_when(found)}.",
        "",
        "| server | capacity/s | sent/s | p50 ms | p99 ms | ideal p50 | ideal p99 | ratio "
        "| ideal p99 at its own pace | errors |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    fields = (
        "capacity", "rate", "p50_ms", "p99_ms", "ideal_p50_ms", "ideal_p99_ms", "ratio",
        "own_pace_p99_ms", "errors",
    )  # fmt: skip
    rows = [(who, run) for who, runs in found["others"].items() for run in runs]
    return lines + [
        f"| {TITLES[who]} | {' | '.join(str(run[f]) for f in fields)} |"
        for who, run in [*(("plaza", run) for run in found["runs"]), *rows]
    ]


def _overload(found: dict[str, Any]) -> list[str]:
    bars = found["bars"]
    lines = [
        "## Overload: a model of 10 ms, bodies of 3 kB",
        "",
        f"Bars: goodput ≥ {bars['goodput']:g} of the peak, rejects' p99 ≤ "
        f"{bars['reject_p99_ms']:g} ms, normal in {bars['normal_s']:g} s: "
        f"{_held(found['held'])}. {_when(found)}.",
        "",
        "Medians of the rounds. Rejects' p99 is told for each round; under it stands how long the "
        "machine itself stood still for all programs, in total over its cores and at most at once.",
        "",
        "| server | offered | goodput of peak | admitted p50 / p99 ms | rejects p50 / p99 ms "
        "| p99 of rejects by round | normal after s | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for who, floods in found["floods"].items():
        runs = found["runs"][who]
        for at, flood in enumerate(floods):
            each = ", ".join(f"{run['floods'][at]['reject_p99_ms']:g}" for run in runs)
            goodput = _spread([run["floods"][at]["goodput"] for run in runs], None)
            lines.append(
                f"| {TITLES[who]} | {flood['times']:g} × | {goodput} "
                f"| {flood['admitted_p50_ms']} / {flood['admitted_p99_ms']} "
                f"| {flood['reject_p50_ms']} / {flood['reject_p99_ms']} "
                f"| {each} | {flood['normal_s']} | {flood['lost']} |"
            )
        still = ", ".join(f"{run['still_ms']} / {run['longest_ms']}" for run in runs)
        lines.append(f"| the machine meanwhile | | | | | still ms, in all / at once: {still} | | |")
    return lines


def _density(found: dict[str, Any]) -> list[str]:
    lines = [
        "## Density and start",
        "",
        f"A hub answers {found['start_s']} s after its start. {_when(found)}.",
        "",
        "| model | file kB | memory kB, loaded | models per GB | cold ms, median / worst "
        "| warm ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found["models"].items():
        lines.append(
            f"| {name} | {one['file_kb']} | {one['memory_kb']} | {one['per_gb']} | "
            f"{one['cold_ms']} / {one['cold_p99_ms']} | {one['warm_ms']} |"
        )
    processes = ", ".join(f"{name} {size:g}" for name, size in found["processes_mb"].items())
    return [*lines, "", f"Memory of an idle hub's processes in MB (PSS): {processes}."]


def _books(found: dict[str, Any]) -> list[str]:
    lines = ["## Authentication, quota and ledger per request", "", "| step | p50 µs | p99 µs |"]
    lines.append("|---|---|---|")
    for name, cuts in found["steps"].items():
        lines.append(f"| {name} | {cuts['p50_us']} | {cuts['p99_us']} |")
    return [
        *lines,
        "",
        f"Bar {found['bar_us']:g} µs at p50: {_held(found['held'])}. {_when(found)}.",
    ]


def _cells(found: dict[str, Any]) -> list[str]:
    lines = ["## A call into a cell", "", "| call | p50 µs in process | p50 µs in a cell |"]
    lines.append("|---|---|---|")
    for name in ("raw", "task"):
        inside, outside = found[name]["cell"]["p50_us"], found[name]["in process"]["p50_us"]
        lines.append(f"| {name} | {outside} | {inside} |")
    more = f"{found['overhead_us']} µs more for a raw call, bar {found['bar_us']}"
    return [*lines, "", f"{more}: {_held(found['held'])}. {_when(found)}."]
