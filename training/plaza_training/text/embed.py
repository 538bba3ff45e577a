"""Recipe `sentence-embedder`: vectors in which sentences of one intent lie together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plaza_core.manifest import Limits
from plaza_models.text.embed import EmbedOptions
from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77, CLINC150
from plaza_training.recipe import Graph, Job, Metrics, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text.bags import Bags
from plaza_training.text.classify import padded
from plaza_training.text.neighbours import score, score_served, tfidf
from plaza_training.text.network import FEATURES, WIDTHS, BagEncoder
from plaza_training.text.sets import (
    Examples,
    read_banking,
    read_clinc,
)


@dataclass(frozen=True, slots=True)
class Choices:
    """Everything that shapes the weights besides data, seed and n-grams."""

    dimension: int = 160
    feature_dropout: float = 0.3
    temperature: float = 0.1
    learning_rate: float = 2e-3
    epochs: int = 8
    intents_per_step: int = 48
    sentences_per_intent: int = 4
    held_out_intents: int = 45


OPTIONS = EmbedOptions(buckets=12_288, width=640, words=1, characters=(3, 4))

SAMPLES = (
    "When does the number 7 tram leave the harbour?",
    "What time is the next tram from the port?",
    "I would like to pay my parking fine",
)

STORY = Story(
    title="Sentence embedder: short English requests as vectors",
    summary=(
        "Turns a short English request into 160 numbers of length 1, so that requests for the same "
        "thing have a large dot product. A static embedder: each of 12,288 hashed n-grams has a "
        "vector and a text is their weighted sum. Trained from scratch by contrast: sentences of "
        "one intent are pulled together, those of others pushed apart."
    ),
    limits=(
        "It sees words and parts of words, not meaning: paraphrases without a common word are far "
        "apart, and word order does not count. Its gain over TF-IDF on intents it has never "
        "seen is two points of nearest-neighbour accuracy; what it adds beyond that is a short "
        "vector of fixed length. English, short texts. It is no substitute for an encoder that was "
        "pre-trained on a large corpus."
    ),
)


def sentence_embedder(job: Job) -> Trained:
    banking, clinc = (
        locate(data, job.data_dir, progress=job.progress) for data in (BANKING77, CLINC150)
    )
    return train(*(read_both(banking, clinc, split) for split in ("train", "test")), job=job)


def read_both(banking: Path, clinc: Path, split: str) -> Examples:
    """Labels of the two sets may coincide; their intents do not, so each is named for its set."""
    parts = {"banking": read_banking(banking, split), "clinc": read_clinc(clinc, split)}
    return Examples(
        tuple(text for part in parts.values() for text in part.texts),
        tuple(f"{name}:{label}" for name, part in parts.items() for label in part.labels),
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Sentences of the intents to learn; of the others a gallery to search and queries."""

    known: Examples
    gallery: Examples
    queries: Examples


def hold_out(learning: Examples, asking: Examples, intents: int, seed: int) -> Split:
    """Hold out whole intents: a sentence is only ever asked about an intent never learnt."""
    labels = sorted(set(learning.labels))
    unseen = frozenset(
        labels[i] for i in np.random.default_rng(seed).permutation(len(labels))[:intents]
    )
    known = learning.only(frozenset(labels) - unseen)
    return Split(known, learning.only(unseen), asking.only(unseen))


def train(
    learning: Examples,
    asking: Examples,
    *,
    job: Job,
    options: EmbedOptions = OPTIONS,
    choices: Choices = Choices(),
) -> Trained:
    split = hold_out(learning, asking, choices.held_out_intents, job.seed)
    gallery, queries = split.gallery, split.queries
    bags = Bags(split.known.texts, options)
    encoder = fit(bags, split.known.labels, options, choices, job)

    def evaluate(served: Served) -> Report:
        return Report(
            split=(
                f"{len(set(gallery.labels))} of {len(set(learning.labels))} intents, never seen in "
                "training: each of their "
                f"{len(queries):,} test sentences looks for its like among the {len(gallery):,} "
                "training sentences of the same intents"
            ),
            metrics=score_served(served, queries, gallery),
            baselines=_baselines(fresh(bags, options, choices, job), queries, gallery, options),
        )

    batches = padded(queries.texts, options, (32, 1, 7))
    sample = json.dumps({"texts": SAMPLES}).encode()
    return Trained(
        graph=Graph(encoder.served(), batches[0], ("vectors",), FEATURES),
        family="text.embed",
        options=options.model_dump(mode="json"),
        data=(BANKING77, CLINC150),
        licence="CC-BY-4.0",
        story=STORY,
        parameters=asdict(choices),
        parity_inputs=batches,
        evaluate=evaluate,
        files={"sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def fit(
    bags: Bags, labels: tuple[str, ...], options: EmbedOptions, choices: Choices, job: Job
) -> BagEncoder:
    """Minimise the supervised contrastive loss (Khosla et al. 2020) over the sentences."""
    encoder = fresh(bags, options, choices, job)
    random = np.random.default_rng(job.seed)
    names = np.array(labels)
    groups = [np.flatnonzero(names == name) for name in sorted(set(labels))]
    intents = min(choices.intents_per_step, len(groups))
    steps = choices.epochs * len(bags) // (intents * choices.sentences_per_intent)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=choices.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, choices.learning_rate, total_steps=steps, pct_start=0.1
    )
    encoder.train()
    for _ in job.progress.track(range(steps), "training", steps):
        chosen = random.permutation(len(groups))[:intents]
        per = choices.sentences_per_intent
        rows = np.concatenate([random.choice(groups[i], per, replace=False) for i in chosen])
        batch = bags.batch(rows, random=random, drop=choices.feature_dropout)
        intent = torch.from_numpy(np.repeat(chosen, per))
        loss = contrast(encoder(batch), intent, choices.temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    encoder.eval()
    return encoder


def contrast(rows: Tensor, intent: Tensor, temperature: float) -> Tensor:
    """Mean over rows and their partners of -log P(partner), P a softmax over all other rows."""
    directions = functional.normalize(rows)
    itself = torch.eye(len(rows), dtype=torch.bool)
    logits = (directions @ directions.T / temperature).masked_fill(itself, float("-inf"))
    chances = functional.log_softmax(logits, dim=1).masked_fill(itself, 0.0)
    partners = (intent[:, None] == intent[None]) & ~itself
    per_row = (chances * partners).sum(dim=1) / partners.sum(dim=1)
    return -per_row.mean()


def fresh(bags: Bags, options: EmbedOptions, choices: Choices, job: Job) -> BagEncoder:
    """Where training starts: random directions, weighted by rarity."""
    torch.manual_seed(job.seed)
    return BagEncoder(bags.rarity(options.buckets), choices.dimension, None, dropout=0.0)


def _baselines(
    untrained: BagEncoder, queries: Examples, gallery: Examples, options: EmbedOptions
) -> Mapping[str, Metrics]:
    asked, offered = Bags(queries.texts, options), Bags(gallery.texts, options)
    untrained.eval()
    with torch.no_grad():
        rows = [untrained(some.batch(range(len(some)))) for some in (asked, offered)]
    vectors = [functional.normalize(row).numpy() for row in rows]
    methods = {
        "TF-IDF cosine of the same n-grams": tfidf(asked, offered, untrained.rarity.numpy()),
        "the same table, untrained": vectors[0] @ vectors[1].T,
    }
    return {
        name: score(similar, queries.labels, gallery.labels) for name, similar in methods.items()
    }
