"""`plaza train text --csv messages.csv`: where an organisation's own messages belong, in a minute.

    messages ─▶ cross-validation: numbers of the card, temperature ─▶ one fit on all of them

Hashed n-grams of words and characters need no vocabulary, so any language does; of one written
without spaces those of characters alone, the signs among them, say more (`--unit character`). Of
few labels each bucket has a weight for each; of many it has a short vector, else the table would be
large.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.text.classify import ClassifyOptions
from plaza_models.text.ngrams import Unit
from plaza_training.data import DataSet, sha256_of
from plaza_training.recipe import Graph, Job, Metrics, Recipe, Report, Story, Trained
from plaza_training.text.bags import Bags, Batch
from plaza_training.text.classify import Choices, Known, calmest, fit, numbered, padded
from plaza_training.text.linear import fit_linear, summed
from plaza_training.text.messages import read_messages
from plaza_training.text.network import FEATURES, BagEncoder, ServedBag
from plaza_training.text.scoring import calibration_error, macro_f1
from plaza_training.text.sets import Examples

FEW_LABELS = 30
_BUCKETS_OF_FEW, _BUCKETS_OF_MANY = 65_536, 16_384
WIDTHS = (32, 64, 128, 256, 512, 1_024, 2_048, 4_096)
"""Messages of people may be long."""
LICENCE = "all rights reserved"
_FOLDS = 5
_FOLDS_OF_MANY = 3
_SHORT = 4_000
_LONG = 50_000
"""Rows of a short and of a long file."""
_ROWS_TO_SEE = 24_000
"""Rows that a network sees, over all its epochs, where there are few."""


@dataclass(frozen=True, slots=True)
class Linear:
    """The convex way: nothing to choose but how little is held back."""

    strength: float = 3.0


def text_router(csv: Path, name: str, encoding: str | None = None, unit: Unit = "word") -> Recipe:
    """The recipe over that file, for a bundle of that name."""
    return partial(_route, csv, name, encoding, unit)


def _route(csv: Path, name: str, encoding: str | None, unit: Unit, job: Job) -> Trained:
    read = read_messages(csv, encoding)
    told = {
        "messages": len(read.examples),
        "repeated": read.repeated,
        "contradicted": read.contradicted,
        "wordless": read.wordless,
    }
    job.progress.note(", ".join(f"{count:,} {what}" for what, count in told.items()))
    trained = train(read.examples, job, unit)
    said = f" --encoding {encoding}" if encoding else ""
    said += f" --unit {unit}" if unit != "word" else ""
    return replace(
        trained,
        data=(DataSet(csv.stem, "Messages of our own", LICENCE, "not published", "theirs", ()),),
        parameters={**trained.parameters, "data_sha256": sha256_of(csv), **told},
        invoked=f"text --csv {csv.name} --name {name}{said}",
    )


def _story(labels: Sequence[str], unit: Unit) -> Story:
    grams = "words and characters" if unit == "word" else "one and two characters"
    return Story(
        title=f"Messages to {len(labels)} labels",
        summary=(
            f"Says where a message belongs, with probabilities, by hashed n-grams of {grams}: "
            "what each bucket says of every label is learnt, and summed up. The temperature of the "
            "probabilities was chosen on answers of the cross-validation."
        ),
        limits=(
            "Knows these labels only and gives one of them to anything. Messages of another time, "
            "place or channel than those of the file may be answered worse than the table says."
        ),
    )


def train(messages: Examples, job: Job, unit: Unit = "word") -> Trained:
    """Learns from all of `messages`, measured by cross-validation on them."""
    labels = sorted(set(messages.labels))
    options, choices = chosen(len(messages), len(labels), unit)
    bags = Bags(messages.texts, options)
    known = Known(bags, numbered(messages), bags.rarity(options.buckets))
    parts = parts_of(known.targets, job.seed)
    asked = np.concatenate(parts)
    truth = known.targets[asked]
    logits = cross_validated(known, parts, choices, job)
    temperature = calmest(logits, truth)
    report = Report(
        split=(
            f"cross-validation in {len(parts)} part{'s' * (len(parts) > 1)}: {len(asked):,} of the "
            f"{len(messages):,} messages, each by a model that did not learn it (the model that is "
            "served learnt all of them)"
        ),
        metrics=measured(logits / temperature, truth),
        baselines={
            "TF-IDF, nearest mean of a label": _by_means(known, parts),
            "always the most frequent label": {
                "accuracy_percent": float(np.bincount(known.targets).max() / len(messages) * 100)
            },
        },
    )
    model = learnt(known, np.arange(len(bags)), choices, job)
    batches = padded(messages.texts, options, (min(8, len(messages) // 2), 1), cut="end")
    sample = json.dumps({"texts": messages.texts[:3], "top_k": 3}, ensure_ascii=False).encode()
    return Trained(
        graph=Graph(model.served(temperature=temperature), batches[0], ("logits",), FEATURES),
        family="text.classify",
        options=options.model_dump(mode="json"),
        data=(),
        licence=LICENCE,
        story=_story(labels, unit),
        parameters={"temperature": round(temperature, 4), **asdict(choices)},
        parity_inputs=batches,
        evaluate=lambda _: report,
        files={"labels.txt": ("\n".join(labels) + "\n").encode(), "sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def chosen(rows: int, labels: int, unit: Unit = "word") -> tuple[ClassifyOptions, Choices | Linear]:
    """A network sees few messages more often."""
    if labels <= FEW_LABELS:
        return _options(_BUCKETS_OF_FEW, unit), Linear()
    return _options(_BUCKETS_OF_MANY, unit), Choices(
        dimension=64,
        epochs=int(np.clip(_ROWS_TO_SEE // rows, 8 if rows <= _LONG else 4, 40)),
        rows_per_step=32 if rows <= _SHORT else 64 if rows <= _LONG else 128,
    )


def _options(buckets: int, unit: Unit) -> ClassifyOptions:
    """Of characters as words, three in a row did no better than two, and share buckets sooner."""
    words, characters = (3, (3, 4)) if unit == "word" else (2, None)
    return ClassifyOptions(
        unit=unit,
        buckets=buckets,
        width=4_096,
        words=words,
        characters=characters,
        max_characters=10_000,
    )


class LinearBag:
    """What `BagEncoder` is to a network."""

    def __init__(self, table: Tensor) -> None:
        self._table = table

    def __call__(self, batch: Batch) -> Tensor:
        return summed(self._table, batch)

    def served(self, *, temperature: float) -> ServedBag:
        return ServedBag(self._table / temperature, None)


def learnt(
    known: Known, rows: Array, choices: Choices | Linear, job: Job
) -> BagEncoder | LinearBag:
    """From `rows` of what is known."""
    if isinstance(choices, Choices):
        return fit(known, rows, choices, job)
    table = fit_linear(
        known.bags, known.targets, known.rarity, choices.strength, job.progress, rows=rows
    )
    return LinearBag(table)


def folds(targets: Array, count: int, seed: int) -> list[Array]:
    """Parts of alike size, every label spread evenly over them."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(targets))
    by_label = order[np.argsort(targets[order], kind="stable")]
    return [np.sort(by_label[first::count]) for first in range(count)]


def parts_of(targets: Array, seed: int) -> list[Array]:
    """What models are asked that did not learn it: everything in turn; of a long file a fifth."""
    parts = folds(targets, _FOLDS_OF_MANY if _SHORT < len(targets) <= _LONG else _FOLDS, seed)
    return parts if len(targets) <= _LONG else parts[:1]


def cross_validated(
    known: Known, parts: Sequence[Array], choices: Choices | Linear, job: Job
) -> Tensor:
    """(messages, labels): logits of each part in turn, by a model that learnt all the others."""
    found = []
    everything = np.arange(len(known.bags))
    for part in parts:
        model = learnt(known, np.setdiff1d(everything, part), choices, job)
        with torch.no_grad():
            found.append(model(known.bags.batch(part)))
    return torch.cat(found)


def measured(logits: Tensor, truth: Array) -> Metrics:
    chances = torch.softmax(logits, dim=1).numpy()
    best = chances.argmax(axis=1)
    ranked = np.argsort(-chances, axis=1, kind="stable")[:, :3]
    return {
        "accuracy_percent": float((best == truth).mean() * 100),
        "macro_f1_percent": macro_f1(best, truth) * 100,
        "top3_percent": float((ranked == truth[:, None]).any(axis=1).mean() * 100),
        "calibration_error_percent": calibration_error(chances.max(axis=1), best == truth) * 100,
    }


def _by_means(known: Known, parts: Sequence[Array]) -> Metrics:
    """The closed form: the label whose mean of the other parts is nearest."""
    labels = int(known.targets.max()) + 1
    right = 0
    for part in parts:
        means = np.zeros((labels, len(known.rarity)), np.float32)
        for row in np.setdiff1d(np.arange(len(known.bags)), part):
            means[known.targets[row], known.bags.indices[row]] += _weighted(known, row)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        for row in part:
            likeness = means[:, known.bags.indices[row]] @ _weighted(known, row)
            right += int(likeness.argmax() == known.targets[row])
    return {"accuracy_percent": right / sum(map(len, parts)) * 100}


def _weighted(known: Known, row: int) -> Array:
    weights = known.bags.weights[row] * known.rarity[known.bags.indices[row]]
    return weights / max(float(np.linalg.norm(weights)), 1e-12)
