"""A budget's calendar: windows of days in which another limit holds than usually.

    usual 100 ── [2026-12-01, 2027-01-01) 300 ── [sat sun] 0 ──▶ the first that holds counts

A period is judged by the day on which it begins, in UTC. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plaza_core.budget import LARGEST

MOST_WINDOWS = 50


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Window(BaseModel):
    """For periods that begin on `first` or later, before `until`, and on one of `weekdays`.

    What is left out holds always. `limit` None counts without limiting, while the window holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: date | None = None
    until: date | None = None
    weekdays: tuple[Weekday, ...] = ()
    limit: Annotated[int, Field(strict=True, ge=0, le=LARGEST)] | None

    @model_validator(mode="after")
    def _says_when(self) -> Window:
        if self.first is None and self.until is None and not self.weekdays:
            raise ValueError("a window needs first, until or weekdays; else set the limit itself")
        if self.first is not None and self.until is not None and self.first >= self.until:
            raise ValueError("a window ends after it begins: `until` is the first day outside")
        return self

    def holds(self, day: date) -> bool:
        if (self.first is not None and day < self.first) or (
            self.until is not None and day >= self.until
        ):
            return False
        return not self.weekdays or tuple(Weekday)[day.weekday()] in self.weekdays


def limit_at(usual: int | None, windows: Sequence[Window], start_unix_us: int) -> int | None:
    """The limit of the period that begins at `start_unix_us` (µs since 1970)."""
    if not windows:
        return usual
    day = datetime.fromtimestamp(start_unix_us // 1_000_000, UTC).date()
    return next((w.limit for w in windows if w.holds(day)), usual)
