"""Recipe `assistant-intents`: which of 150 things an assistant is asked for, or none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.tasks import ClassifyTask
from plaza_models.text.classify import ClassifyOptions
from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77, CLINC150
from plaza_training.recipe import Graph, Job, Metrics, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text import memory
from plaza_training.text.bags import Bags
from plaza_training.text.classify import (
    NO_LABEL,
    Choices,
    Known,
    calmest,
    fit,
    numbered,
    padded,
)
from plaza_training.text.guide import LinearHead, softened, unseen
from plaza_training.text.network import FEATURES, WIDTHS, BagEncoder, joined
from plaza_training.text.rejecting import OUTSIDE, Rejection, ServedRejecting, Wanted, choose
from plaza_training.text.scoring import calibration_error
from plaza_training.text.sets import Examples, read_banking, read_clinc
from plaza_training.text.teacher import TEACHER, Teacher, find_teacher
from plaza_training.text.variations import likes_of, varied

OPTIONS = ClassifyOptions(buckets=16_384, width=640, words=2, characters=(3, 4))
CHOICES = Choices(dimension=96, dropout=0.1, feature_dropout=0.1, epochs=5, guidance=1.0)
"""The guide alone speaks: of labelled sentences it is the mean of it and of their label."""
MEMBERS = 3
"""Models whose mean is taken, side by side in one table."""
SOFTENED = 2.0
"""Temperature of what the guide says."""
VARIATIONS = 4
"""Rough ones of each sentence, and as many gentle ones."""
WANTED = Wanted(inside=0.93, outside=0.55)

SAMPLES = (
    "how do i say goodbye in french",
    "what is the weather like tomorrow in lisbon",
    "who painted the ceiling of the sistine chapel",
)

STORY = Story(
    title="Assistant intents: what is asked for, or that it is something else",
    summary=(
        "Sorts a short English request to an assistant into one of 150 intents, or says "
        f"`{OUTSIDE}`. Hashed n-grams of words and characters, a vector of 8-bit integers for each "
        "of 16,384 buckets, one linear layer. It learnt from the labels and from what a linear "
        "classifier on the vectors of all-MiniLM-L6-v2 thinks of these sentences without having "
        "learnt them, of others, and of variations in which words are missing or replaced. "
        "Everything, temperature and threshold of rejection included, was chosen on the validation "
        "part alone."
    ),
    limits=(
        "Knows these 150 intents only, in English. About four in ten requests about something else "
        "are still given an intent: ask back before doing what cannot be undone."
    ),
)
_BASELINES: Mapping[str, Metrics] = {
    "TF-IDF, linear SVM (scikit-learn), no rejection": {"accuracy_percent": 91.1},
}
_REFERENCES: Mapping[str, Metrics] = {
    "all-MiniLM-L6-v2 + logistic regression": {
        "accuracy_percent": 95.3,
        "in_scope_percent": 94.6,
        "out_of_scope_recall_percent": 55.6,
    },
    "BERT (published)": {"accuracy_percent": 96.9},
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The published parts; `…_out` are requests that belong to none of the intents."""

    learning: Examples
    checking: Examples
    checking_out: Examples
    asking: Examples
    asking_out: Examples


def assistant_intents(job: Job) -> Trained:
    clinc, banking = (
        locate(data, job.data_dir, progress=job.progress) for data in (CLINC150, BANKING77)
    )
    names = ("train", "val", "oos_val", "test", "oos_test")
    parts = Parts(*(read_clinc(clinc, name) for name in names))
    others = (*read_clinc(clinc, "oos_train").texts, *read_banking(banking, "train").texts)
    known = guided(parts.learning, others, job)
    trained = train(parts, known, OPTIONS, CHOICES, job=job)
    return replace(trained, data=(CLINC150, BANKING77, TEACHER))


def guided(learning: Examples, others: tuple[str, ...], job: Job) -> Known:
    """The sentences with labels, `others` of which only the guide knows what they are like, and
    variations of those with labels."""
    teacher = Teacher(find_teacher(), fast=True)
    likes = likes_of(learning.texts, teacher, job.data_dir, job.progress)
    others = (*others, *varied(learning.texts, likes, VARIATIONS, job.seed))
    vectors = memory.ask(teacher, (*learning.texts, *others), job.data_dir, job.progress)
    own, strange = vectors[: len(learning)], vectors[len(learning) :]
    targets = numbered(learning)
    labels = int(targets.max()) + 1
    told = functional.one_hot(torch.from_numpy(targets), labels)
    guide = torch.cat(
        [
            (told + unseen(own, targets, job.seed)) / 2,
            LinearHead(own, targets, labels).probabilities(strange),
        ]
    )
    bags = Bags((*learning.texts, *others), OPTIONS)
    return Known(
        bags,
        np.concatenate([targets, np.full(len(others), NO_LABEL)]),
        bags.rarity(OPTIONS.buckets),
        softened(guide, SOFTENED),
    )


def train(
    parts: Parts, known: Known, options: ClassifyOptions, choices: Choices, *, job: Job
) -> Trained:
    """The labels of all parts are those of `parts.learning`."""
    labels = sorted(set(parts.learning.labels))
    everything = np.arange(len(known.bags))
    encoder = joined(
        [
            fit(known, everything, choices, replace(job, seed=job.seed + member))
            for member in range(MEMBERS)
        ]
    )
    inside, outside = (
        _logits(encoder, part, options) for part in (parts.checking, parts.checking_out)
    )
    truth = numbered(parts.checking)
    temperature = calmest(inside, truth)
    rejection = choose(inside / temperature, truth, outside / temperature, WANTED)
    _tell(rejection, inside / temperature, truth, outside / temperature, job)
    batches = padded(parts.asking.texts, options, (32, 1, 7))
    sample = json.dumps({"texts": SAMPLES, "top_k": 3}).encode()
    return Trained(
        graph=Graph(
            ServedRejecting(encoder.served(temperature=temperature, rounded=True), rejection),
            batches[0],
            ("logits",),
            FEATURES,
        ),
        family="text.classify",
        options=options.model_dump(mode="json"),
        data=(CLINC150,),
        licence="CC-BY-4.0",
        story=STORY,
        parameters={
            "temperature": round(temperature, 4),
            **rejection.described(),
            "wanted": asdict(WANTED),
            "variations": VARIATIONS,
            "members": MEMBERS,
            "softened": SOFTENED,
            **asdict(choices),
        },
        parity_inputs=batches,
        evaluate=lambda served: _report(served, parts),
        files={
            "labels.txt": ("\n".join((*labels, OUTSIDE)) + "\n").encode(),
            "sample.json": sample,
        },
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def _tell(rejection: Rejection, inside: Tensor, truth: Array, outside: Tensor, job: Job) -> None:
    """What the threshold does to the sentences that it was chosen on."""
    right = float((inside.argmax(dim=1).numpy() == truth).mean())
    believed = [
        100 * float((torch.softmax(some, dim=1).amax(dim=1) >= rejection.threshold).double().mean())
        for some in (inside, outside)
    ]
    job.progress.note(
        f"validation: {100 * right:.2f} % right; believed at {rejection.threshold:.3f}: "
        f"{believed[0]:.1f} % of those in scope, {believed[1]:.1f} % of the others"
    )


def score(served: Served, inside: Examples, outside: Examples) -> Metrics:
    """accuracy: the best intent is right, whether it is believed or not. in_scope: it is right and
    believed. out_of_scope_recall: requests about something else that are said to be so."""
    said = [
        [answer.results[0] for answer in served.ask_all(_tasks(part), joined=64)]
        for part in (inside, outside)
    ]
    first = [next(label.label for label in result if label.label != OUTSIDE) for result in said[0]]
    top = np.array([result[0].label for result in said[0]])
    sure = np.array([result[0].score for result in said[0]])
    truth = np.array(inside.labels)
    return {
        "accuracy_percent": float((np.array(first) == truth).mean() * 100),
        "in_scope_percent": float((top == truth).mean() * 100),
        "out_of_scope_recall_percent": float(
            np.mean([result[0].label == OUTSIDE for result in said[1]]) * 100
        ),
        "calibration_error_percent": calibration_error(sure, top == truth) * 100,
    }


def _report(served: Served, parts: Parts) -> Report:
    return Report(
        split=(
            f"the published test part, {len(parts.asking):,} requests of "
            f"{len(set(parts.asking.labels))} intents and {len(parts.asking_out):,} of none"
        ),
        metrics=score(served, parts.asking, parts.asking_out),
        baselines=_BASELINES,
        references=_REFERENCES,
    )


def _tasks(part: Examples) -> list[ClassifyTask]:
    return [ClassifyTask((text,), top_k=2) for text in part.texts]


def _logits(encoder: BagEncoder, part: Examples, options: ClassifyOptions) -> Tensor:
    bags = Bags(part.texts, options)
    with torch.no_grad():
        found: Tensor = encoder(bags.batch(range(len(bags))))
    return found
