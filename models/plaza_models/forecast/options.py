"""Options of `forecast.quantile`, as `plaza.yaml` has them."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from plaza_core.errors import InvalidInput
from plaza_models.forecast.levels import Level, require_ladder
from plaza_models.options import Options

Scaling = Literal["none", "mean-abs", "standard"]
SAME = 1e-9
"""Two quantile levels closer than this are the same level."""


class LevelOptions(Options):
    """One warning level that the model offers."""

    name: str = Field(min_length=1, max_length=40)
    threshold: float | list[float] = Field(description="in units of the series, or one for each")
    above: bool = Field(default=True, description="false: it warns of values below the threshold")
    enter: float = Field(description="chance from which it is raised")
    leave: float = Field(description="chance below which it is lowered again")
    false_alarms: float | None = Field(
        default=None, ge=0, le=1, description="share of quiet times warned about, on history"
    )
    false_alarms_range: tuple[float, float] | None = Field(
        default=None, description="where it lies in nine of ten stretches of time to come"
    )

    @model_validator(mode="after")
    def _around(self) -> LevelOptions:
        if self.false_alarms_range is None:
            return self
        low, high = self.false_alarms_range
        if self.false_alarms is None or not 0 <= low <= self.false_alarms <= high <= 1:
            raise ValueError("false_alarms_range must lie around false_alarms, inside [0, 1]")
        return self

    def level(self) -> Level:
        said = self.threshold
        each = tuple(said) if isinstance(said, list) else (said,)
        stated = (self.false_alarms, self.false_alarms_range)
        return Level(self.name, each, self.enter, self.leave, self.above, *stated)


class ForecastOptions(Options):
    """`options` of the manifest."""

    context: int = Field(ge=1, le=100_000, description="values the model reads")
    horizon: int = Field(ge=1, le=10_000, description="steps it can look ahead")
    quantiles: list[float] = Field(min_length=1, description="levels, ascending, inside (0, 1)")
    scaling: Scaling = Field(
        description="of each context: its mean absolute value, its mean and deviation, or none"
    )
    lower: float | None = Field(default=None, description="no value can be below this")
    upper: float | None = Field(default=None, description="no value can be above this")
    step_seconds: int | None = Field(default=None, ge=1, description="time between two values")
    unit: str = Field(default="", max_length=32, description="of the values, for axis labels")
    series: int = Field(default=1, ge=1, le=10_000, description="series it reads together")
    known: list[str] = Field(default=[], max_length=64, description="covariates, in their order")
    shortest: int | None = Field(
        default=None,
        ge=1,
        description="values it can do with; a series this short is continued "
        "backwards with its first value",
    )
    gaps: Literal["refuse", "fill"] = Field(
        default="refuse", description="fill: a value that is not there lies between its neighbours"
    )
    levels: list[LevelOptions] = Field(
        default=[], max_length=10, description="of warning, the mildest first"
    )
    every: int = Field(
        default=1,
        ge=1,
        description="steps between two forecasts when past values are scored; 24 for a model of "
        "hours that forecasts from midnight only",
    )

    @field_validator("quantiles")
    @classmethod
    def _ascending(cls, levels: list[float]) -> list[float]:
        inside = all(0 < level < 1 for level in levels)
        if not inside or any(b - a < SAME for a, b in pairwise(levels)):
            raise ValueError("quantiles must ascend inside (0, 1)")
        return levels

    @model_validator(mode="after")
    def _warnings(self) -> ForecastOptions:
        try:
            require_ladder(self.ladder(), self.series)
        except InvalidInput as error:
            raise ValueError(error.message) from None
        if self.every > self.horizon:
            raise ValueError("every must not be longer than the horizon")
        return self

    def ladder(self) -> tuple[Level, ...]:
        return tuple(level.level() for level in self.levels)
