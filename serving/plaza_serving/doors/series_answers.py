"""What a model said of series, written down: JSON, a table in CSV, or the drawing it made."""

from __future__ import annotations

import csv
import io
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from plaza_core.inference import Outcome
from plaza_models.forecast.tasks import Anomalies, Warned
from plaza_models.tasks import Forecast
from plaza_serving.doors.accept import JSON
from plaza_serving.doors.asking import cost_headers, timed
from plaza_serving.doors.series_body import CSV, TIME, Sheet
from plaza_serving.reply import Header, Reply

SVG = "image/svg+xml"
FORMS = (JSON, CSV, SVG)
STATE = b"x-plaza-state"
Cell = float | str | None


class Told(Protocol):
    """An answer that can be written in each form."""

    @abstractmethod
    def document(self) -> dict[str, Any]: ...
    @abstractmethod
    def columns(self) -> list[str]: ...
    @abstractmethod
    def rows(self) -> Iterator[list[tuple[Cell, ...]]]:
        """Those of each series."""

    @abstractmethod
    def cells(self) -> int:
        """How many numbers it has, more or less."""

    def first(self, sheet: Sheet) -> int:
        """Place of the first row: after the values that were sent."""
        return len(sheet.series[0])

    def headers(self) -> tuple[Header, ...]:
        """Of a table or drawing: what it has no place for."""
        return ()


def written(form: str, outcome: Outcome, told: Told, sheet: Sheet) -> Reply:
    if form == SVG:
        headers = (*cost_headers(outcome), *told.headers())
        return Reply(200, SVG.encode(), outcome.answer.picture or b"", headers)
    return timed(outcome, told.document()) if form == JSON else _table(outcome, told, sheet)


@dataclass(frozen=True, slots=True)
class ForecastTold(Told):
    forecasts: Sequence[Forecast]
    one: bool

    def document(self) -> dict[str, Any]:
        each = [
            {"values": f.values, **({} if f.mean is None else {"mean": f.mean})}
            for f in self.forecasts
        ]
        quantiles = self.forecasts[0].quantiles
        return {"quantiles": quantiles, **(each[0] if self.one else {"forecasts": each})}

    def cells(self) -> int:
        return sum(_size(each.values) for each in self.forecasts)

    def columns(self) -> list[str]:
        first = self.forecasts[0]
        means = ["mean"] if first.mean is not None else []
        return ["step", *_named(first.quantiles), *means]

    def rows(self) -> Iterator[list[tuple[Cell, ...]]]:
        for each in self.forecasts:
            lines = [*each.values, *([] if each.mean is None else [each.mean])]
            yield [(float(at), *row) for at, row in enumerate(zip(*lines, strict=True), 1)]


@dataclass(frozen=True, slots=True)
class AnomaliesTold(Told):
    answer: Anomalies
    values: Sequence[Sequence[float]]
    """As they were sent."""
    one: bool

    def document(self) -> dict[str, Any]:
        each = [{"scores": one.scores, "values": one.values} for one in self.answer.series]
        head = {"first": self.answer.first, "quantiles": self.answer.quantiles}
        return {**head, **(each[0] if self.one else {"series": each})}

    def columns(self) -> list[str]:
        return ["value", "score", *_named(self.answer.quantiles)]

    def cells(self) -> int:
        return sum(_size(each.values) for each in self.answer.series)

    def rows(self) -> Iterator[list[tuple[Cell, ...]]]:
        for sent, series in zip(self.values, self.answer.series, strict=True):
            scored = sent[self.answer.first :]
            yield list(zip(scored, series.scores, *series.values, strict=True))

    def first(self, sheet: Sheet) -> int:
        return self.answer.first


@dataclass(frozen=True, slots=True)
class WarnedTold(Told):
    answer: Warned
    one: bool

    def document(self) -> dict[str, Any]:
        answer = self.answer
        each = [asdict(series) for series in answer.series]
        head = {"at": answer.at, "quantiles": answer.quantiles, "state": answer.state}
        return {**head, **(each[0] if self.one else {"series": each})}

    def columns(self) -> list[str]:
        levels = [f"chance {level.name}" for level in self.answer.series[0].levels]
        return ["step", "level", "since", *levels, *_named(self.answer.quantiles)]

    def cells(self) -> int:
        return sum(_size(each.values) for each in self.answer.series)

    def rows(self) -> Iterator[list[tuple[Cell, ...]]]:
        for series in self.answer.series:
            chances = [level.chances for level in series.levels]
            steps = enumerate(zip(*chances, *series.values, strict=True), 1)
            yield [(float(at), series.level, series.since, *row) for at, row in steps]

    def headers(self) -> tuple[Header, ...]:
        """A header is ASCII; JSON can say everything in it."""
        return ((STATE, json.dumps(json.loads(self.answer.state)).encode("ascii")),)


def _table(outcome: Outcome, told: Told, sheet: Sheet) -> Reply:
    """A row for each series and step; with `series` where there are several, with `time` where it
    is known."""
    every = list(told.rows())
    times = _times(sheet.times, told.first(sheet), len(every[0]))
    names = sheet.names or tuple(str(at) for at in range(len(sheet.series)))
    several = len(names) > 1
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(["series"] * several), *([TIME] * bool(times)), *told.columns()])
    for name, rows in zip(names, every, strict=True):
        for at, row in enumerate(rows):
            writer.writerow([*([name] * several), *times[at : at + 1], *map(_cell, row)])
    headers = (*cost_headers(outcome), *told.headers())
    return Reply(200, f"{CSV}; charset=utf-8".encode(), out.getvalue().encode(), headers)


def _size(rows: Sequence[Sequence[float]]) -> int:
    return len(rows) * len(rows[0])


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
