"""One run with everything around it: written down as it happens, and held against a champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from plaza_core.running import RunnerFactory
from plaza_training.pipeline import Produced, produce
from plaza_training.recipe import Job, Recipe, Report, Trained
from plaza_training.runs import Runs, environment
from plaza_training.served import serve
from plaza_training.versus import Verdict, compare, unbeaten


@dataclass(frozen=True, slots=True)
class Tracked:
    produced: Produced
    verdict: Verdict | None
    """None: there was no champion to hold it against."""
    run: str | None
    """Of MLflow, for the lineage of a version."""


def produce_tracked(
    name: str,
    recipe: Recipe,
    job: Job,
    out: Path,
    runners: RunnerFactory,
    *,
    runs: Runs | None = None,
    champion: Path | None = None,
) -> Tracked:
    """As `pipeline.produce`. `champion` is the directory of a bundle; it answers the same exam."""
    run = None
    if runs is not None:
        run = runs.begin(name, {f"plaza.{key}": said for key, said in environment().items()})
        run.parameters({"recipe": name, "seed": job.seed})
        job = replace(job, log=run)
    good = False
    try:
        judged = _Judged(recipe, champion, runners)
        produced = produce(name, judged.train, job, out, runners)
        verdict = None
        if judged.champion is not None:
            verdict = compare(produced.report, judged.champion, seed=job.seed)
        if run is not None:
            run.parameters(judged.parameters)
            run.metrics(_numbers(produced, verdict))
            run.files(produced.directory, "bundle")
        good = True
    finally:
        if run is not None:
            run.end(good=good)
    return Tracked(produced, verdict, None if run is None else run.id)


class _Judged:
    """A recipe whose exam is also put to the champion."""

    def __init__(self, recipe: Recipe, place: Path | None, runners: RunnerFactory) -> None:
        self._recipe, self._place, self._runners = recipe, place, runners
        self.champion: Report | None = None
        self.parameters: dict[str, object] = {}

    def train(self, job: Job) -> Trained:
        trained = self._recipe(job)
        self.parameters = dict(trained.parameters)
        if self._place is not None:
            self.champion = self._asked(trained.evaluate, self._place)
        return trained

    def _asked(self, evaluate: Callable[..., Report], place: Path) -> Report:
        served = serve(place, self._runners)
        try:
            return evaluate(served)
        finally:
            served.runner.close()


def _numbers(produced: Produced, verdict: Verdict | None) -> dict[str, float]:
    report = produced.report
    found = dict(report.metrics)
    for baseline, said in report.baselines.items():
        found |= {f"baseline/{baseline}/{metric}": value for metric, value in said.items()}
    found["parity_error"] = produced.parity.max_abs_error
    found["model_bytes"] = float(produced.model_bytes)
    found["beats_baselines"] = float(not unbeaten(report))
    if verdict is not None:
        found |= {"change": verdict.change, "change_low": verdict.low, "change_high": verdict.high}
        found["proposed"] = float(verdict.proposed)
    return found
