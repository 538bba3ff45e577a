"""CARD.md: what a model is, what it learnt from, how well it does and how to make it again.

YAML front matter for machines, a short text for people. It holds nothing that changes between two
runs of the same command, so a card that differs means a model that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from plaza_training.data import DataSet
from plaza_training.parity import Parity
from plaza_training.recipe import RECIPE_FILE, Metrics, Report, Trained


def write_card(
    name: str,
    trained: Trained,
    report: Report,
    parity: Parity,
    *,
    seed: int,
    made: Mapping[str, Any],
) -> str:
    """The whole card as text. `made` tells the size, checksum and parameter count of the graph."""
    front = {
        "name": name,
        "family": trained.family,
        "licence": trained.licence,
        "data": [_cited(dataset) for dataset in trained.data],
        "split": report.split,
        "metrics": _rounded(report.metrics),
        "baselines": {key: _rounded(value) for key, value in report.baselines.items()},
        **_references(report),
        "parity": {
            "max_abs_error": float(f"{parity.max_abs_error:.2e}"),
            "largest_output": float(f"{parity.largest_output:.4g}"),
            "rows": parity.rows,
        },
        "model": dict(made),
        "seed": seed,
        "command": command(trained.invoked or name, seed, of_file=RECIPE_FILE in trained.files),
        "parameters": dict(trained.parameters),
    }
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{head}---\n{_prose(trained, report)}"


def command(name: str, seed: int, *, of_file: bool = False) -> str:
    """`of_file`: the recipe is no name but the file that the bundle carries."""
    recipe = f"{name}.yaml" if of_file else name
    return f"python -m plaza_training {recipe} --data DIR --out DIR --seed {seed}"


def read_front_matter(card: str) -> dict[str, Any]:
    """The machine-readable part of a card."""
    _, head, _ = card.split("---\n", 2)
    front: dict[str, Any] = yaml.safe_load(head)
    return front


def _prose(trained: Trained, report: Report) -> str:
    story = trained.story
    sources = "\n".join(f"- {d.title} ({d.licence}): {d.attribution}" for d in trained.data)
    return (
        f"# {story.title}\n\n{story.summary}\n\n"
        f"## Measured\n\nOn {report.split}, through the exported graph as it is served.\n\n"
        f"{_table(report)}\n\n"
        f"## Limits\n\n{story.limits}\n\n"
        f"## Data\n\n{sources}\n"
    )


def _table(report: Report) -> str:
    """A row per metric: methods are few, metrics may be many."""
    methods = {"**this model**": report.metrics, **report.baselines, **report.references}
    lines = ["| | " + " | ".join(methods) + " |", "|---" + "|---:" * len(methods) + "|"]
    for metric in report.metrics:
        cells = (f"{m[metric]:.4g}" if metric in m else "–" for m in methods.values())
        lines.append(f"| {metric.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _references(report: Report) -> dict[str, Any]:
    """Only where there are any."""
    if not report.references:
        return {}
    return {"references": {key: _rounded(value) for key, value in report.references.items()}}


def _cited(dataset: DataSet) -> dict[str, str]:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "licence": dataset.licence,
        "source": dataset.source,
    }


def _rounded(metrics: Metrics) -> dict[str, float]:
    return {key: float(f"{value:.5g}") for key, value in metrics.items()}
