"""What became of each exam, as JSON that is committed: one file an exam."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.quality.figures import Figure, Figures

RESULTS = Path(__file__).parents[1] / "results" / "quality"


@dataclass(frozen=True, slots=True)
class Made:
    """Where and when."""

    commit: str = ""
    date: str = ""
    machine: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Retrained:
    """The quick variant, on the same split, in one process."""

    made: Made
    figures: Figures


@dataclass(frozen=True, slots=True)
class Result:
    exam: str
    figures: Figures = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of simpler methods, as the bundle's card has them."""
    origin: str = ""
    """Whether the model ships, was written by its recipe, or is of others."""
    sha256: str = ""
    """Of `model.onnx`."""
    made: Made = field(default_factory=Made)
    problem: str = ""
    """Why the latest try made no figures; those that are here are older, or none."""
    retrained: Retrained | None = None
    retraining_problem: str = ""


def made(seconds: float) -> Made:
    """Here and now."""
    return Made(_commit(), datetime.now(UTC).date().isoformat(), machine(), round(seconds, 1))


def load(exam: str, folder: Path = RESULTS) -> Result:
    """An empty one where there is none yet."""
    path = folder / f"{exam}.json"
    if not path.is_file():
        return Result(exam)
    facts = json.loads(path.read_text(encoding="utf-8"))
    retrained = facts.pop("retrained")
    if retrained is not None:
        retrained = Retrained(Made(**retrained["made"]), _figures(retrained["figures"]))
    figures, place = _figures(facts.pop("figures")), Made(**facts.pop("made"))
    return Result(figures=figures, made=place, retrained=retrained, **facts)


def save(result: Result, folder: Path = RESULTS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(asdict(result)), indent=1, ensure_ascii=False)
    (folder / f"{result.exam}.json").write_text(text + "\n", encoding="utf-8")


def _figures(facts: Mapping[str, Mapping[str, float]]) -> Figures:
    return {name: Figure(**one) for name, one in facts.items()}  # type: ignore[arg-type]


def _rounded(value: object) -> object:
    """Six digits: more are noise, and would change with every processor."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return value


def _commit() -> str:
    """With a star where files differ from it; what a run writes itself does not count."""
    changed = _git("status", "--porcelain", "--", ":!benchmarks/results", ":!docs/quality.md")
    return (_git("rev-parse", "--short=10", "HEAD") or "unknown") + "*" * bool(changed)


def _git(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 our own words
        ["git", *words],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parents[2],
    )
    return done.stdout.strip()


def machine() -> str:
    """Kind of processor and how many cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = name or "unknown"
    return f"{name}, {os.cpu_count()} cores"
