"""What a model said of series, written down: JSON, a table in CSV, or the drawing it made."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from plaza_core.inference import Outcome
from plaza_models.forecast.tasks import Anomalies, Warned, WarnedSeries
from plaza_models.tasks import Forecast
from plaza_serving.doors.accept import JSON
from plaza_serving.doors.asking import cost_headers, timed
from plaza_serving.doors.series_body import CSV, TIME, Sheet
from plaza_serving.reply import Header, Reply

SVG = "image/svg+xml"
FORMS = (JSON, CSV, SVG)
STATE = b"x-plaza-state"
Cell = float | str | None


@dataclass(frozen=True, slots=True)
class Told:
    """An answer in both forms."""

    document: dict[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Sequence[Cell]]]
    """For each series its rows."""
    first: int | None
    """Place of the first row among the values that were sent; None: they are ahead."""
    headers: tuple[Header, ...] = ()
    """Of a table: what belongs to none of its rows."""


def document(outcome: Outcome, told: Told) -> Reply:
    return timed(outcome, told.document)


def drawn(outcome: Outcome) -> Reply:
    return Reply(200, SVG.encode(), outcome.answer.picture or b"", cost_headers(outcome))


def table(outcome: Outcome, told: Told, sheet: Sheet) -> Reply:
    """A row for each series and step; with `series` where there are several, with `time` where it
    is known."""
    begin = len(sheet.series[0]) if told.first is None else told.first
    times = _times(sheet.times, begin, len(told.rows[0]))
    names = sheet.names or tuple(str(at) for at in range(len(sheet.series)))
    several = len(names) > 1
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(["series"] * several), *([TIME] * bool(times)), *told.columns])
    for name, rows in zip(names, told.rows, strict=True):
        for at, row in enumerate(rows):
            writer.writerow([*([name] * several), *times[at : at + 1], *map(_cell, row)])
    headers = (*cost_headers(outcome), *told.headers)
    return Reply(200, f"{CSV}; charset=utf-8".encode(), out.getvalue().encode(), headers)


def forecast_told(forecasts: Sequence[Forecast], *, one: bool) -> Told:
    quantiles = forecasts[0].quantiles
    each = [{"values": f.values, **({} if f.mean is None else {"mean": f.mean})} for f in forecasts]
    means = ["mean"] if forecasts[0].mean is not None else []
    rows = [
        [(float(step), *row) for step, row in enumerate(zip(*_lines(f), strict=True), 1)]
        for f in forecasts
    ]
    return Told(
        {"quantiles": quantiles, **(each[0] if one else {"forecasts": each})},
        ("step", *_named(quantiles), *means),
        rows,
        None,
    )


def _lines(forecast: Forecast) -> list[tuple[float, ...]]:
    return [*forecast.values, *([] if forecast.mean is None else [forecast.mean])]


def anomalies_told(answer: Anomalies, values: Sequence[Sequence[float]], *, one: bool) -> Told:
    """`values` as they were sent."""
    each = [asdict(series) for series in answer.series]
    rows = [
        list(zip(sent[answer.first :], series.scores, *series.values, strict=True))
        for sent, series in zip(values, answer.series, strict=True)
    ]
    head = {"first": answer.first, "quantiles": answer.quantiles}
    return Told(
        {**head, **(each[0] if one else {"series": each})},
        ("value", "score", *_named(answer.quantiles)),
        rows,
        answer.first,
    )


def warned_told(answer: Warned, *, one: bool) -> Told:
    each = [asdict(series) for series in answer.series]
    head = {"at": answer.at, "quantiles": answer.quantiles, "state": answer.state}
    levels = [f"chance {level.name}" for level in answer.series[0].levels]
    return Told(
        {**head, **(each[0] if one else {"series": each})},
        ("step", "level", "since", *levels, *_named(answer.quantiles)),
        [_warned_rows(series) for series in answer.series],
        None,
        # A header is ASCII; JSON can say everything in it.
        ((STATE, json.dumps(json.loads(answer.state)).encode("ascii")),),
    )


def _warned_rows(series: WarnedSeries) -> list[tuple[Cell, ...]]:
    chances = [level.chances for level in series.levels]
    steps = enumerate(zip(*chances, *series.values, strict=True), 1)
    return [(float(step), series.level, series.since, *row) for step, row in steps]


def _named(quantiles: Sequence[float]) -> list[str]:
    return [f"q{level:g}" for level in quantiles]


def _cell(value: Cell) -> str:
    """Empty for what is not there."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.9g}"  # noqa: PLR0124 NaN alone differs from itself
    return value or ""


def _times(times: Sequence[str], begin: int, count: int) -> list[str]:
    """Of `count` rows from `begin` on. Beyond the end of the table they go on as it did; where
    they are no times, there are none."""
    found = list(times[begin : begin + count])
    if len(found) == count:
        return found
    try:
        before, last = map(datetime.fromisoformat, times[-2:])
        more = range(1, begin + count - len(times) + 1)
        return found + [(last + (last - before) * at).isoformat() for at in more]
    except (ValueError, TypeError, OverflowError):
        return []
