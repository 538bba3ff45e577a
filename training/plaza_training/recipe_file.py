"""A recipe as a YAML file: somebody's own series, a window, a method, a part held out, and what is
to be warned of.

    name: pump-pressure
    series: {csv: pump.csv, step_seconds: 3600, season: 24, unit: bar, licence: MIT}
    window: {context: 168, horizon: 24}
    model: {method: network, steps: 2000}
    warnings: {levels: {high: 4.2, very high: 5.0}, false_alarms: 0.1, piece: 168}

The columns of the CSV are the series, its rows the steps, oldest first; a first column without
numbers is taken for the time. The last fifth of the rows is held out, unless `test_share` says
otherwise; with warnings, so is what their levels are set on: `history_share` of the rows before.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plaza_core.errors import InvalidInput, NotFound
from plaza_models.forecast.levels import Level, require_ladder
from plaza_models.forecast.options import Scaling
from plaza_training.data import DataSet, sha256_of
from plaza_training.forecast.sets import Series
from plaza_training.recipe import RECIPE_FILE, Job, Recipe, Story, Trained


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeriesFile(_Strict):
    """Where the series are, and what a card must say of them."""

    csv: Path = Field(description="relative to the recipe")
    step_seconds: int = Field(ge=1)
    season: int = Field(default=1, ge=1, description="steps after which the series repeats")
    unit: str = Field(default="", max_length=32)
    lower: float | None = Field(default=None, description="no value can be below this")
    title: str = "Series of our own"
    licence: str = "all rights reserved"
    source: str = "not published"


class Window(_Strict):
    context: int = Field(ge=2, le=10_000)
    horizon: int = Field(ge=1, le=1_000)


class Linear(_Strict):
    """In closed form, in seconds."""

    method: Literal["naive", "ridge"]
    penalty: float = Field(default=1e-3, gt=0)


class Network(_Strict):
    """Trained on the pinball loss."""

    method: Literal["network"]
    scaling: Scaling = "standard"
    hidden: int = Field(default=256, ge=4, le=4096)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    steps: int = Field(default=2000, ge=10, le=1_000_000)
    rows_per_step: int = Field(default=512, ge=1, le=65_536)
    learning_rate: float = Field(default=1e-3, gt=0)
    patience: int | None = Field(
        default=None,
        ge=1,
        description="looks, a hundred steps apart, before it stops",
    )


class Warnings(_Strict):
    """Levels, set on rows that teach nothing and judged on the test."""

    levels: dict[str, float] = Field(
        min_length=1, description="thresholds in units of the series, the mildest first"
    )
    above: bool = Field(default=True, description="false: values below them are warned of")
    false_alarms: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the times without the event ahead that may be warned about, in 19 of "
        "20 pieces to come",
    )
    piece: int = Field(ge=1, description="rows that hang together: a day, a week, a season")
    history_share: float = Field(default=0.3, gt=0, lt=1, description="of the rows before the test")

    @model_validator(mode="after")
    def _ladder(self) -> Warnings:
        levels = [Level(name, (at,), 1.0, 1.0, self.above) for name, at in self.levels.items()]
        try:
            require_ladder(levels, series=1)
        except InvalidInput as error:
            raise ValueError(error.message) from None
        return self


class RecipeFile(_Strict):
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)
    series: SeriesFile
    window: Window
    model: Annotated[Linear | Network, Field(discriminator="method")]
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    warnings: Warnings | None = None


def read_recipe(path: Path) -> tuple[str, Recipe]:
    """The bundle's name and the recipe. Raises NotFound, or InvalidInput naming the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"no recipe '{path.name}' there", input="recipe") from error
    try:
        parsed = RecipeFile.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InvalidInput(f"'{path.name}' is no YAML", input="recipe") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise InvalidInput(f"{first['msg']}", input=where) from error
    return parsed.name, partial(_train, parsed, path.parent / parsed.series.csv, text.encode())


def _train(recipe: RecipeFile, source: Path, text: bytes, job: Job) -> Trained:
    series = read_series(source)
    border = len(series) - round(recipe.test_share * len(series))
    taught = border - _history(recipe, border)
    need = recipe.window.context + recipe.window.horizon
    if min(taught // 2, len(series) - border) < need:
        raise InvalidInput(
            f"{len(series)} rows are too few for windows of {need}: the part held out and half of "
            "what teaches must each hold one",
            input="series.csv",
        )
    said = recipe.series
    data = DataSet(source.stem, said.title, said.licence, said.source, "its owner", files=())
    model = recipe.model
    measured = _Measured(data, series, taught, border)
    if isinstance(model, Network):
        trained = _network(recipe, model, measured, job)
    else:
        trained = _linear(recipe, model, measured, job)
    if recipe.warnings is not None:
        trained = _warning(recipe, recipe.warnings, measured, trained)
    parameters = {**trained.parameters, "data_sha256": sha256_of(source), "rows": len(series)}
    files = {**trained.files, RECIPE_FILE: text}
    return replace(trained, parameters=parameters, files=files, licence=said.licence)


def _history(recipe: RecipeFile, border: int) -> int:
    """How many rows before the test are kept for setting levels. Raises InvalidInput."""
    if recipe.warnings is None:
        return 0
    rows = round(recipe.warnings.history_share * border)
    origins = rows - recipe.window.horizon + 1
    if origins < 2 * recipe.warnings.piece:
        raise InvalidInput(
            f"levels are set on {rows} rows, which is less than two pieces of "
            f"{recipe.warnings.piece} and the {recipe.window.horizon} steps after them",
            input="warnings.piece",
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Measured:
    data: DataSet
    series: Series
    taught: int
    """First row that teaches nothing."""
    border: int
    """First row of the test."""


def _linear(recipe: RecipeFile, model: Linear, measured: _Measured, job: Job) -> Trained:
    from plaza_training.forecast.baselines import fit
    from plaza_training.forecast.protocols import Protocol, held_out

    protocol = Protocol(
        data=measured.data,
        context=recipe.window.context,
        horizon=recipe.window.horizon,
        season=recipe.series.season,
        open=held_out(measured.series, measured.border, measured.taught),
    )
    return fit(recipe.name, protocol, model.method, job, penalty=model.penalty)


def _network(recipe: RecipeFile, model: Network, measured: _Measured, job: Job) -> Trained:
    from plaza_training.forecast.recipes import Choices, Subject, train

    said, series, border = recipe.series, measured.series, measured.border
    subject = Subject(
        data=measured.data,
        read=lambda _: series,
        split=f"the last {len(series) - border:,} of {len(series):,} rows, every origin",
        story=Story(
            title=said.title,
            summary=f"Quantiles of the next {recipe.window.horizon} steps, by a small network.",
            limits="It knows neither the calendar nor anything beside the series.",
        ),
        unit=said.unit,
        step_seconds=said.step_seconds,
        season=said.season,
        season_name=f"{said.season} steps ago",
        lower=said.lower,
        test_from=border,
    )
    chosen = model.model_dump(exclude={"method"})
    choices = Choices(**recipe.window.model_dump(), **chosen, train_until=measured.taught)
    return train(subject, choices, job)


def _warning(
    recipe: RecipeFile, wanted: Warnings, measured: _Measured, trained: Trained
) -> Trained:
    from plaza_training.forecast.declared import Watched, pairs_of, with_levels
    from plaza_training.forecast.watch import Watch
    from plaza_training.forecast.windows import Windows

    series, (context, horizon) = measured.series, (recipe.window.context, recipe.window.horizon)
    history = Windows(series, context, horizon, first=measured.taught, last=measured.border)
    test = Windows(series, context, horizon, first=measured.border, last=len(series))
    side = "above" if wanted.above else "below"
    watch = Watch(
        said=f"a value {side} the threshold",
        thresholds=wanted.levels,
        false_alarms=wanted.false_alarms,
        above=wanted.above,
        series=series.shape[1],
    )
    pieces = pairs_of(history, wanted.piece)
    count = int(pieces.numbered.max()) + 1
    where = f"{count} pieces of {wanted.piece:,} rows before the test, which taught nothing"
    return with_levels(trained, Watched(watch, pieces, pairs_of(test), where))


def read_series(path: Path) -> Series:
    """(rows, series). Raises InvalidInput naming the first cell that is not a number."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"'{path.name}' cannot be read as CSV", input="series.csv") from error
    first = int(bool(rows) and not _is_number(rows[0][0]))
    for number, row in enumerate(rows, start=2):
        cells = row[first:]
        if len(row) != len(head) or not cells or not all(map(_is_number, cells)):
            raise InvalidInput(
                f"line {number} of '{path.name}' is not {len(head) - first} numbers",
                input="series.csv",
            )
    found: Series = np.array([row[first:] for row in rows], dtype=np.float32)
    return found


def _is_number(cell: Any) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
