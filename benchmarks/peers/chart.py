"""What was found, drawn: throughput and cost of all servers, the queue, the floods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.peers.compare import median
from benchmarks.peers.table import BARS, TITLES

_OURS, _THEIRS, _BOUND, _INK, _RULE = "#0b6e99", "#9aa8b2", "#22303a", "#22303a", "#e3e8ec"


def draw(document: dict[str, Any], place: Path) -> None:
    """Write a picture for each part of the document that is there."""
    comparisons = document.get("comparisons", {})
    shown = [name for name in BARS if name in comparisons]
    if shown:
        _save(_bars(comparisons, shown, "requests_per_second"), place / "throughput.png")
        _save(_bars(comparisons, shown, "cpu_us"), place / "cost.png")
    if "latency" in document:
        _save(_queue(document["latency"]), place / "latency.png")
    if "overload" in document:
        _save(_floods(document["overload"]), place / "overload.png")


def _bars(comparisons: dict[str, Any], shown: list[str], field: str) -> Figure:
    figure = Figure(figsize=(11, 3.1 * ((len(shown) + 1) // 2) + 0.4), layout="constrained")
    speed = field == "requests_per_second"
    what = "requests/s" if speed else "CPU µs per request"
    grid = figure.subplots((len(shown) + 1) // 2, min(2, len(shown)), squeeze=False)
    for axes, name in zip(grid.flat, shown, strict=False):
        found = comparisons[name]
        who = sorted(found["rows"], key=lambda one: median(found, one, field), reverse=speed)
        middles = [median(found, one, field) for one in who]
        spread = [
            [m - min(found["rows"][one][field]) for one, m in zip(who, middles, strict=True)],
            [max(found["rows"][one][field]) - m for one, m in zip(who, middles, strict=True)],
        ]
        colours = [{"plaza": _OURS, "alone": _BOUND}.get(one, _THEIRS) for one in who]
        names = [TITLES[one].replace("**", "").replace(", everything on", "") for one in who]
        axes.hlines(names, 1e-9, middles, color=_RULE, lw=0.8, zorder=1)
        axes.errorbar(middles, names, xerr=spread, fmt="none", ecolor=_INK, lw=0.8, zorder=2)
        axes.scatter(middles, names, c=colours, s=46, zorder=3)
        axes.invert_yaxis()
        axes.set_xscale("log")
        low, high = min(middles), max(middles)
        axes.set_xlim(low / 2, high * 4)
        steps = (1, 2, 5) if high < 100 * low else (1,)  # 1, 2, 5 of each decade, while they fit
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        for at, (value, more) in enumerate(zip(middles, spread[1], strict=True)):
            axes.text((value + more) * 1.25, at, f"{value:,.0f}", va="center", fontsize=8)
        model, dialect, connections = name.split()
        axes.set_title(f"{model}, {dialect}, {connections} connections", fontsize=10, loc="left")
        axes.set_xlabel(f"{what}, logarithmic", fontsize=8)
        _plain(axes)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    return figure


def _queue(found: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    hundredths = range(1, 100)
    axes.plot(found["ideal_quantiles_ms"], hundredths, color=_BOUND, label="ideal M/D/c queue")
    axes.plot(found["quantiles_ms"], hundredths, color=_OURS, lw=2, label="Plaza")
    axes.set_xlim(0)
    axes.set_ylim(0, 100)
    axes.set_xlabel("latency, ms, from the moment a request was due", fontsize=8)
    axes.set_ylabel("% of requests answered", fontsize=8)
    axes.set_title("conv, Poisson arrivals at 70 % of capacity", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    return figure


def _floods(found: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    run = found["runs"]["plaza"][0]
    rows = run["seconds"][:-1]
    for field, colour in (("offered", _THEIRS), ("refused", _BOUND), ("answered", _OURS)):
        axes.step(
            range(len(rows)), [max(0.5, row[field]) for row in rows], where="post", color=colour,
            lw=2 if field == "answered" else 1.4, label=field,
        )  # fmt: skip
    axes.axhline(run["peak"], color=_INK, lw=0.7, ls=":", label="peak of a closed loop")
    axes.set_yscale("log")
    axes.set_ylim(1)
    axes.set_xlabel("s", fontsize=8)
    axes.set_ylabel("requests in the second, logarithmic", fontsize=8)
    axes.set_title("a model of 10 ms: calm, 5 ×, calm, 10 ×, calm", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.16))
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
