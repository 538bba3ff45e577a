"""What is asked of which model, and what it must reach: `bars.toml`, read once and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import plaza
from plaza_training.recipe import Job
from plaza_training.served import Served

SHEET = Path(__file__).with_name("bars.toml")
FAMILIES = ("vision", "forecast", "text")


@dataclass(frozen=True, slots=True)
class Beside:
    """A number of somebody else on the same split."""

    who: str
    value: float
    source: str
    """Where it was published, or how it was measured."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the page."""

    what: str
    metric: str
    """As the exam's paper names it."""
    bar: float | None = None
    """None: measured, without a bar."""
    at: Literal["least", "most"] = "least"
    upper: float | None = None
    """With it the number must lie between `bar` and this."""
    digits: int = 3
    baselines: tuple[Beside, ...] = ()
    published: tuple[Beside, ...] = ()
    note: str = ""
    """Where it was missed: by how much, and what was tried."""

    def reached(self, value: float) -> bool | None:
        """None where there is no bar."""
        if self.bar is None:
            return None
        if self.upper is not None:
            return self.bar <= value <= self.upper
        return value >= self.bar if self.at == "least" else value <= self.bar


@dataclass(frozen=True, slots=True)
class Exam:
    """One model before one set."""

    name: str
    family: str
    model: str
    """A bundle or a variant that ships, else a `file` of others, else the recipe that writes it."""
    paper: str
    """Which of `papers.PAPERS` asks and scores."""
    set: str
    protocol: str
    data: tuple[str, ...]
    """Folders below the data directory, without which it cannot be sat."""
    bars: tuple[Bar, ...]
    file: str = ""
    """Of a detector that others trained: its path below the data directory, or where packages are
    installed."""
    package: str = ""
    """Whose file that is, as pip is told it: `name==version`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What else the paper wants to know."""
    by_hand: str = ""
    """Why it is only sat when it is named."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a paper is given: the exam, the model that answers, and where the data lies."""

    exam: Exam
    served: Served
    directory: Path
    """The bundle."""
    job: Job
    hub: plaza.Client | None = None
    """None where the model answers in this process."""


def read_exams(sheet: Path = SHEET) -> tuple[Exam, ...]:
    """Raises TypeError for a word that exams or bars do not have, ValueError for a name twice."""
    found = tuple(
        _exam(**facts) for facts in tomllib.loads(sheet.read_text(encoding="utf-8"))["exam"]
    )
    names = [exam.name for exam in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{sheet.name} names twice: {', '.join(sorted(twice))}")
    return found


def _exam(*, bars: Sequence[dict[str, Any]], data: Sequence[str], **facts: Any) -> Exam:
    exam = Exam(bars=tuple(_bar(**bar) for bar in bars), data=tuple(data), **facts)
    if exam.family not in FAMILIES:
        raise ValueError(f"{exam.name}: no family '{exam.family}'")
    return exam


def _bar(
    *,
    baselines: Sequence[dict[str, Any]] = (),
    published: Sequence[dict[str, Any]] = (),
    **facts: Any,
) -> Bar:
    return Bar(
        baselines=tuple(Beside(**one) for one in baselines),
        published=tuple(Beside(**one) for one in published),
        **facts,
    )
