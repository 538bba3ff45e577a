"""`make quality`: every exam at one hub, quick variants trained again, `docs/quality.md` anew.

    python -m benchmarks.quality [--only NAME …] [--step measure|retrain|page] [--bundles DIR]

An exam that breaks is written down with its reason, and the others go on; one whose set is not in
the data directory keeps its last result. Fails when an exam broke, a bar was missed, or a model
could not be trained again, and says which.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.hub import running_hub
from benchmarks.quality.exam import Exam, read_exams
from benchmarks.quality.page import page
from benchmarks.quality.papers import HUB_ALONE
from benchmarks.quality.results import Result, load, save
from benchmarks.quality.sitting import (
    BUNDLES,
    ROOT,
    NotHere,
    Room,
    bundle_of,
    require_data,
    retrain,
    sit,
)
from plaza_core.running import RunnerFactory
from plaza_core.settings import Settings
from plaza_training.cli import open_runners
from plaza_training.progress import RichProgress
from plaza_training.recipe import Job

PAGE = ROOT / "docs" / "quality.md"
SETTINGS = {"rate_per_second": 1e6, "rate_burst": 10**6}
SEED = 1
console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--step", choices=("measure", "retrain", "page"))
    parser.add_argument("--bundles", type=Path, help="keep what recipes write, and take it again")
    asked = parser.parse_args()
    exams = read_exams()
    chosen = _chosen(exams, asked.only)
    data = Settings().data
    if asked.step != "page" and data is None:
        raise SystemExit("PLAZA_DATA must say where the data sets are")
    lost: list[str] = []
    with ExitStack() as stack:
        progress = stack.enter_context(RichProgress(console))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plaza-quality-")))
        job = Job(data or Path(), SEED, progress)
        runners = open_runners("cpu")
        if asked.step in {None, "measure"}:
            _measure(chosen, job, asked.bundles or scratch / "written", scratch, runners)
        if asked.step in {None, "retrain"}:
            lost = _retrain(chosen, job, scratch / "again", runners)
    results = {exam.name: load(exam.name) for exam in exams}
    PAGE.write_text(page(exams, results), encoding="utf-8")
    short = [exam.name for exam in chosen if _short(exam, results[exam.name])]
    sys.exit(_failures(short, lost))


def _chosen(exams: Sequence[Exam], only: Sequence[str]) -> list[Exam]:
    """All that need no hand, or those named."""
    names = {exam.name for exam in exams}
    if unknown := set(only) - names:
        there = ", ".join(sorted(names))
        raise SystemExit(f"no exam {', '.join(sorted(unknown))}; there are: {there}")
    return [exam for exam in exams if exam.name in only or not (only or exam.by_hand)]


def _measure(
    exams: Sequence[Exam], job: Job, written: Path, scratch: Path, runners: RunnerFactory
) -> None:
    """All at one hub. Recipes write their bundles before it starts: neither disturbs the other."""
    ready = []
    for exam in exams:
        try:
            require_data(exam, job.data_dir)
            job.progress.note(f"{exam.name}: {exam.model}")
            ready.append((exam, bundle_of(exam, job, written, runners)))
        except Exception as error:  # noqa: BLE001 told on the page; the other exams go on
            _failed(exam, error)
    if not ready:
        return
    with running_hub(scratch / "state", **SETTINGS) as hub:
        room = Room.of(hub)
        for exam, bundle in ready:
            try:
                result = sit(exam, load(exam.name), job, bundle, room)
            except Exception as error:  # noqa: BLE001 as above
                _failed(exam, error)
            else:
                save(result)
                _tell(exam, result)


def _retrain(exams: Sequence[Exam], job: Job, scratch: Path, runners: RunnerFactory) -> list[str]:
    """Of what ships; what does not was written by its recipe just now. Returns whose training
    failed; where the data is not here, nothing was tried."""
    lost = []
    for exam in exams:
        if not (BUNDLES / exam.model).is_dir() or exam.paper in HUB_ALONE:
            continue
        last = load(exam.name)
        try:
            require_data(exam, job.data_dir)
            job.progress.note(f"{exam.name}: training {exam.model} again")
            save(retrain(exam, last, job, scratch, runners))
        except Exception as error:  # noqa: BLE001 as above
            console.print(f"[red]{exam.name}: {_reason(error)}", highlight=False)
            save(replace(last, retraining_problem=_reason(error)))
            if not isinstance(error, NotHere):
                lost.append(exam.name)
    return lost


def _failed(exam: Exam, error: Exception) -> None:
    """Its figures stay where only the data is not here; a broken exam has none."""
    last, reason = load(exam.name), _reason(error)
    console.print(f"[red]{exam.name}: {reason}", highlight=False)
    kept = last.figures if isinstance(error, NotHere) else {}
    save(replace(last, figures=kept, problem=reason))


def _reason(error: Exception) -> str:
    """A line for a table."""
    said = " ".join(str(error).split()).replace("|", "/")[:200]
    return said if isinstance(error, NotHere) else f"{type(error).__name__}: {said}"


def _tell(exam: Exam, result: Result) -> None:
    for bar in exam.bars:
        value = result.figures[bar.metric].value
        colour = "red" if bar.reached(value) is False else "green"
        told = f"{exam.name}: {bar.what} [{colour}]{value:.{bar.digits}f}[/]"
        console.print(f"{told} in {result.made.seconds:.0f} s", highlight=False)


def _failures(short: Sequence[str], lost: Sequence[str]) -> int:
    """The exit status, once it is said which."""
    for what, names in (("broke, or missed a bar", short), ("could not be trained again", lost)):
        if names:
            console.print(f"[red]{what}: {', '.join(names)}", highlight=False)
    return int(bool(short or lost))


def _short(exam: Exam, result: Result) -> bool:
    """Whether it broke or missed a bar."""
    if not result.figures:
        return True
    there = [(bar, result.figures[bar.metric]) for bar in exam.bars if bar.metric in result.figures]
    return any(bar.reached(figure.value) is False for bar, figure in there)


if __name__ == "__main__":
    main()
