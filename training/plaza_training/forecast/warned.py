"""Early warning, measured: `python -m plaza_training.forecast.warned SET --data DIR`.

    heat   epidemic   load   traffic

Asks the shipped bundle for every window of the set's test, through its exported graph and family,
and writes SET.json (all numbers) and SET.svg (the reliability diagram). Levels are the bundle's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from plaza_core.plugins import ACCELERATORS, load
from plaza_models.forecast.options import ForecastOptions
from plaza_models.forecast.plot import FAN, PALE, Plot
from plaza_models.options import read_options
from plaza_training.data import locate
from plaza_training.data.forecasting import FLUSIGHT, ISO_NE, LOS_LOOP, WEATHER
from plaza_training.forecast import admissions, congestion, days, heat
from plaza_training.forecast.judge import asked
from plaza_training.forecast.protocols import Pairs
from plaza_training.forecast.sets import read_speeds
from plaza_training.forecast.watch import History, Watch, measured
from plaza_training.served import Served, serve

_COLOURS = (FAN, "#b91c1c")
_NAMED = 12
"""Leads that are printed, at most."""


@dataclass(frozen=True, slots=True)
class Case:
    watch: Watch
    test: Pairs


@dataclass(frozen=True, slots=True)
class Subject:
    bundle: str
    step: str
    """What one step is called."""
    read: Callable[[Path], Case]
    """From the directory of all sets."""


def _heat(data: Path) -> Case:
    table = heat.read(locate(WEATHER, data, only={"WTH.csv"}))
    test = WEATHER.split("WTH test")
    return Case(heat.WATCH, heat.summers(heat.windows(table, test.first, test.last)))


def _epidemic(data: Path) -> Case:
    table = admissions.read(locate(FLUSIGHT, data))
    return Case(admissions.watched(table), admissions.windows(table, [admissions.TEST]))


def _load(data: Path) -> Case:
    table, test = days.read(locate(ISO_NE, data)), ISO_NE.split("test")
    return Case(days.WATCH, days.days_of(table, test.first // days.DAY, test.last // days.DAY))


def _traffic(data: Path) -> Case:
    roads = congestion.watched(read_speeds(locate(LOS_LOOP, data)))
    return Case(roads.watch, roads.test)


SUBJECTS: Mapping[str, Subject] = {
    "heat": Subject("wet-bulb-forecaster", "hour", _heat),
    "epidemic": Subject("flusight-forecaster", "week", _epidemic),
    "load": Subject("iso-ne-forecaster", "hour", _load),
    "traffic": Subject("traffic-speed-quantiles", "5 minutes", _traffic),
}


def numbers(case: Case, served: Served) -> Mapping[str, Any]:
    """Level -> its numbers; see `watch.measured`."""
    options = read_options(ForecastOptions, served.manifest.options)
    history = History.of(asked(served, case.test)[0], case.test, case.watch)
    return measured(case.watch, history, options)


def diagram(found: Mapping[str, Any], title: str) -> bytes:
    """What was said against what came; a dot is larger the more often that was said."""
    plot = Plot((0, 1), (0, 1), title, "chance that was said", "how often it came")
    plot.line([0, 1], [0, 1], PALE, "as it should be", 2)
    for (name, one), colour in zip(found.items(), _COLOURS, strict=False):
        said, came, count = (
            [part[word] for part in one["reliability"]] for word in ("said", "came", "count")
        )
        plot.line(said, came, colour, name)
        for x, y, n in zip(said, came, count, strict=True):
            plot.mark(x, y, colour, 1 + 1.2 * float(np.log10(n)))
    return plot.svg()


def told(found: Mapping[str, Any], step: str) -> str:
    """The leads as a table."""
    lines = []
    for name, one in found.items():
        leads = one["by_lead"]
        places = np.linspace(0, len(leads) - 1, min(_NAMED, len(leads)))
        lines += [
            f"\n{name}: raised from {one['raised_from']:.1%}; "
            f"false alarms {one['false_alarms']:.1%} (stated {_stated(one)}), "
            f"{one['warnings_in_vain']} of {one['warnings']} warnings in vain, "
            f"precision {one['precision']:.1%}, recall {one['recall']:.1%}; noticed "
            f"{one['noticed']} of {one['events']}, median {one['median_notice_steps']} × {step}; "
            f"Brier {one['brier']:.4f} (of the frequency {one['brier_of_the_frequency']:.4f})\n",
            f"| {step} ahead | precision | recall | false alarms |\n|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {lead['steps']} | {_percent(lead['precision'])} | {_percent(lead['recall'])} "
            f"| {_percent(lead['false_alarms'])} |"
            for lead in (leads[at] for at in sorted(set(map(round, places))))
        ]
    return "\n".join(lines)


def _stated(one: Mapping[str, Any]) -> str:
    low, high = one["false_alarms_range"]
    return f"{one['false_alarms_stated']:.1%}, {low:.1%} to {high:.1%}"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"


def main(
    name: Annotated[Literal["heat", "epidemic", "load", "traffic"], typer.Argument(metavar="SET")],
    data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data"),
    bundles: Annotated[Path, typer.Option(help="Where the bundles lie.")] = Path("models/bundles"),
    out: Annotated[Path, typer.Option(help="Where the two files go.")] = Path("docs/warnings"),
) -> None:
    """Write the numbers and the diagram, and print the leads."""
    subject = SUBJECTS[name]
    case = subject.read(data)
    served = serve(bundles / subject.bundle, load(ACCELERATORS, "cpu"))
    try:
        found = numbers(case, served)
    finally:
        served.runner.close()
    out.mkdir(parents=True, exist_ok=True)
    document = {"event": case.watch.said, "bundle": subject.bundle, "levels": found}
    path = out / f"{name}.json"
    # Where nothing was warned of there is no precision: null, for JSON knows no NaN.
    known = json.loads(json.dumps(document), parse_constant=lambda _: None)
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / f"{name}.svg").write_bytes(diagram(found, f"Reliability: {case.watch.said}"))
    typer.echo(told(found, subject.step))


if __name__ == "__main__":
    typer.run(main)
