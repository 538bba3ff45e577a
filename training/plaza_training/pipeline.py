"""From a recipe to a bundle: train, export, open, compare, measure, describe.

The numbers on a card are measured here and only here, through the exported graph and the family
that serves it. A graph that differs from its module makes no bundle.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from plaza_core.manifest import CARD_FILE
from plaza_core.running import RunnerFactory
from plaza_training import parity
from plaza_training.bundle import write_bundle
from plaza_training.card import write_card
from plaza_training.export import export
from plaza_training.recipe import Job, Recipe, Report, Trained
from plaza_training.served import serve

TOLERANCE = 1e-4
"""Largest difference torch - runtime that is accepted, relative to the largest output (float32)."""


@dataclass(frozen=True, slots=True)
class Produced:
    directory: Path
    report: Report
    parity: parity.Parity
    model_bytes: int


def repeatable(seed: int) -> None:
    """One thread, one seed, deterministic kernels: the same command gives the same bytes."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def produce(name: str, recipe: Recipe, job: Job, out: Path, runners: RunnerFactory) -> Produced:
    """Run `recipe` and leave a finished bundle in `out`/`name`.

    It is built beside its final place and moved there when all checks have passed, so a run that
    fails leaves the previous bundle as it was.
    """
    repeatable(job.seed)
    trained = recipe(job)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-") as scratch:
        work = Path(scratch) / name
        produced = _build(name, trained, job, work, runners)
        final = out / name
        if final.exists():
            shutil.rmtree(final)
        work.rename(final)
    return Produced(final, produced.report, produced.parity, produced.model_bytes)


def _build(name: str, trained: Trained, job: Job, work: Path, runners: RunnerFactory) -> Produced:
    graph = trained.graph
    content = export(graph.module, graph.inputs, graph.outputs, variable=graph.variable)
    write_bundle(work, name, content, trained)
    served = serve(work, runners)
    try:
        found = parity.measure(
            graph.module, graph.outputs, served.runner.run, trained.parity_inputs
        )
        found.require(TOLERANCE)
        report = trained.evaluate(served)
    finally:
        served.runner.close()
    made = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "weights": sum(p.numel() for p in graph.module.parameters()),
    }
    card = write_card(name, trained, report, found, seed=job.seed, made=made)
    (work / CARD_FILE).write_text(card, encoding="utf-8")
    return Produced(work, report, found, len(content))
