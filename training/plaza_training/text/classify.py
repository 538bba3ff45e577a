"""Recipe `banking-intents`: which of 77 things a bank's customer wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.tasks import Cut
from plaza_models.text.classify import ClassifyOptions
from plaza_models.text.graph import INDICES, WEIGHTS
from plaza_models.text.ngrams import NgramOptions, features
from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77
from plaza_training.recipe import Graph, Job, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text.bags import Bags
from plaza_training.text.guide import unseen, vectors_of
from plaza_training.text.network import FEATURES, WIDTHS, BagEncoder
from plaza_training.text.scoring import score
from plaza_training.text.sets import Examples, read_banking
from plaza_training.text.teacher import TEACHER


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that shapes the weights besides data, seed and n-grams."""

    dimension: int = 64
    dropout: float = 0.3
    feature_dropout: float = 0.2
    label_smoothing: float = 0.1
    learning_rate: float = 5e-3
    epochs: int = 15
    rows_per_step: int = 64
    calibration_share: float = 0.15
    """Part of the training split that a first model leaves out, to choose the temperature."""
    guidance: float = 0.5
    """Weight of the guide's probabilities, where there is a guide, beside that of the labels."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is learnt from: bags, the number of each one's label, and how rare every bucket is."""

    bags: Bags
    targets: Array
    """-1: has none, and only the guide speaks."""
    rarity: Array
    guide: Tensor | None = None
    """(texts, labels), probabilities."""


NO_LABEL = -1
OPTIONS = ClassifyOptions(buckets=16_384, width=640, words=2, characters=(3, 4))

SAMPLES = (
    "My card was swallowed by the machine at the station, how do I get it back?",
    "The transfer to my landlord still says pending after three days",
    "Can I change my PIN without visiting a branch?",
)

STORY = Story(
    title="Banking intents: what a customer's question is about",
    summary=(
        "Sorts a short English question to a bank into one of 77 intents, with probabilities. "
        "N-grams of words and characters are hashed into 16,384 buckets; every bucket has a "
        "vector, a text is their weighted sum, and one linear layer gives the logits. It learnt "
        "from the labels and from what a linear classifier on the vectors of all-MiniLM-L6-v2 "
        "thinks of each sentence without having learnt it. The temperature of the probabilities "
        "was chosen on sentences that the model fitting it had not seen."
    ),
    limits=(
        "Knows these 77 intents only and assigns one of them to anything, also to a text about "
        "something else: route on a score threshold. English. Published encoders that were "
        "pre-trained on large corpora reach about 93 % on this split."
    ),
)


def banking_intents(job: Job) -> Trained:
    folder = locate(BANKING77, job.data_dir, progress=job.progress)
    learning, held_out = read_banking(folder, "train"), read_banking(folder, "test")
    vectors = vectors_of(learning.texts, job.data_dir, job.progress)
    guide = unseen(vectors, numbered(learning), job.seed)
    return train(learning, held_out, OPTIONS, Choices(), job=job, guide=guide)


def numbered(examples: Examples) -> Array:
    """The place of each one's label among all labels, sorted."""
    return np.unique(examples.labels, return_inverse=True)[1]


def train(
    learning: Examples,
    held_out: Examples,
    options: ClassifyOptions,
    choices: Choices,
    *,
    job: Job,
    guide: Tensor | None = None,
) -> Trained:
    labels = sorted(set(learning.labels))
    bags = Bags(learning.texts, options)
    known = Known(bags, numbered(learning), bags.rarity(options.buckets), guide)
    temperature = _temperature(known, choices, job)
    encoder = fit(known, np.arange(len(bags)), choices, job)

    def evaluate(served: Served) -> Report:
        return Report(
            split=f"the published test split, {len(held_out):,} sentences, {len(labels)} intents",
            metrics=score(served, held_out),
            baselines={
                "TF-IDF of words and pairs, linear SVM (scikit-learn)": {"accuracy_percent": 89.38}
            },
        )

    batches = padded(held_out.texts, options, (32, 1, 7))
    sample = json.dumps({"texts": SAMPLES, "top_k": 3}).encode()
    return Trained(
        graph=Graph(encoder.served(temperature=temperature), batches[0], ("logits",), FEATURES),
        family="text.classify",
        options=options.model_dump(mode="json"),
        data=(BANKING77,) if guide is None else (BANKING77, TEACHER),
        licence="CC-BY-4.0",
        story=STORY,
        parameters={"temperature": round(temperature, 4), **asdict(choices)},
        parity_inputs=batches,
        evaluate=evaluate,
        files={"labels.txt": ("\n".join(labels) + "\n").encode(), "sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def fit(known: Known, rows: Array, choices: Choices, job: Job) -> BagEncoder:
    """Minimise the cross-entropy over `rows` of what is known."""
    torch.manual_seed(job.seed)
    random = np.random.default_rng(job.seed)
    encoder = BagEncoder(
        known.rarity, choices.dimension, int(known.targets.max()) + 1, choices.dropout
    )
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=choices.learning_rate, weight_decay=0)
    per_epoch = -(-len(rows) // choices.rows_per_step)
    steps = choices.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, choices.learning_rate, total_steps=steps, pct_start=0.1
    )
    encoder.train()
    for step in job.progress.track(range(steps), "training", steps):
        place = step % per_epoch
        if place == 0:
            order = random.permutation(rows)
        taken = order[place * choices.rows_per_step : (place + 1) * choices.rows_per_step]
        batch = known.bags.batch(taken, random=random, drop=choices.feature_dropout)
        loss = _loss(encoder(batch), known, taken, choices)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    encoder.eval()
    return encoder


def _loss(logits: Tensor, known: Known, rows: Array, choices: Choices) -> Tensor:
    """Cross-entropy to the labels, and to the guide's probabilities where there is a guide."""
    targets = torch.from_numpy(known.targets[rows])
    labels = functional.cross_entropy(
        logits,
        targets,
        reduction="none",
        ignore_index=NO_LABEL,
        label_smoothing=choices.label_smoothing,
    )
    if known.guide is None:
        return labels.mean()
    guide = known.guide[torch.from_numpy(rows)]
    guided = functional.cross_entropy(logits, guide, reduction="none")
    share = torch.where(targets == NO_LABEL, 1.0, choices.guidance)
    return ((1 - share) * labels + share * guided).mean()


def padded(
    texts: Sequence[str], options: NgramOptions, sizes: Sequence[int], cut: Cut = "no"
) -> list[dict[str, Array]]:
    """Graph inputs of the first texts, in batches of `sizes` rows."""
    batches: list[dict[str, Array]] = []
    first = 0
    for size in sizes:
        read = features(texts[first : first + size], options, cut)
        batches.append({INDICES: read.indices, WEIGHTS: read.weights})
        first += size
    return batches


def _temperature(known: Known, choices: Choices, job: Job) -> float:
    """Divide logits by this: it minimises the log loss of sentences a first model left out."""
    order = np.random.default_rng(job.seed).permutation(len(known.bags))
    left_out = order[: round(choices.calibration_share * len(order))]
    encoder = fit(known, order[len(left_out) :], choices, job)
    with torch.no_grad():
        logits: Tensor = encoder(known.bags.batch(left_out))
    return calmest(logits, known.targets[left_out])


def calmest(logits: Tensor, truth: Array) -> float:
    """The temperature of least log loss."""
    wanted = torch.from_numpy(truth)
    candidates = np.geomspace(0.1, 10, 201)
    losses = [float(functional.cross_entropy(logits / t, wanted)) for t in candidates]
    return float(candidates[int(np.argmin(losses))])
