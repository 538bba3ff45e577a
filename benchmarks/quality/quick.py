"""The quick variant of each recipe: seeded, minutes on one core, as good as minutes allow.

A recipe without an entry is quick enough as it is. What a variant leaves out is said beside it, and
on the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77, CLINC150, ENGLISH_PAIRS
from plaza_training.forecast import recipes as series
from plaza_training.recipe import Job, Recipe, Trained, load_recipe
from plaza_training.text import classify, embed, scope, sts
from plaza_training.text.bags import Bags
from plaza_training.text.corpus import not_measured, sample
from plaza_training.text.sets import read_banking, read_clinc
from plaza_training.vision.recipe import learn
from plaza_training.vision.sets import load_road_data
from plaza_training.vision.train import Choices

WHOLE = "the whole recipe"


@dataclass(frozen=True, slots=True)
class Variant:
    words: str
    recipe: Callable[[Job], Trained]


def recipe(name: str) -> Recipe:
    return QUICK[name].recipe if name in QUICK else load_recipe(name)


def words(name: str) -> str:
    return QUICK[name].words if name in QUICK else WHOLE


def _vehicles(job: Job) -> Trained:
    choices = Choices(seed=job.seed, epochs=10, size=256, size_early=224, average=0.98)
    return learn(load_road_data(job.data_dir, progress=job.progress), choices, job)


def _speeds(job: Job) -> Trained:
    return series.train(series.SPEED, replace(series.SPEED_CHOICES, steps=400), job)


def _load(job: Job) -> Trained:
    return series.train(series.LOAD, replace(series.LOAD_CHOICES, steps=400), job)


def _banking(job: Job) -> Trained:
    folder = locate(BANKING77, job.data_dir, progress=job.progress)
    learning, held_out = read_banking(folder, "train"), read_banking(folder, "test")
    choices = classify.Choices(epochs=8, calibration_share=0.1)
    return classify.train(learning, held_out, classify.OPTIONS, choices, job=job)


def _assistant(job: Job) -> Trained:
    folder = locate(CLINC150, job.data_dir, progress=job.progress)
    names = ("train", "val", "oos_val", "test", "oos_test")
    parts = scope.Parts(*(read_clinc(folder, name) for name in names))
    bags = Bags(parts.learning.texts, scope.OPTIONS)
    rarity = bags.rarity(scope.OPTIONS.buckets)
    known = classify.Known(bags, classify.numbered(parts.learning), rarity)
    choices = replace(scope.CHOICES, epochs=3)
    return scope.train(parts, known, scope.OPTIONS, choices, job=job)


def _embedder(job: Job) -> Trained:
    banking, clinc, pairs = (
        locate(data, job.data_dir, progress=job.progress)
        for data in (BANKING77, CLINC150, ENGLISH_PAIRS)
    )
    learning, asking = (embed.read_both(banking, clinc, part) for part in ("train", "test"))
    measured = sts.sentences(pairs) | {sts.plain(text) for text in asking.texts}
    texts = not_measured(sample(learning.texts, 6_000), measured)
    split = embed.hold_out(learning, asking, embed.HELD_OUT_INTENTS, job.seed)
    return embed.train(texts, split, pairs, job, replace(embed.CHOICES, epochs=3))


QUICK: Mapping[str, Variant] = {
    "assistant-intents": Variant("3 epochs, without the guide", _assistant),
    "banking-intents": Variant("8 of 15 epochs, without the guide", _banking),
    "electricity-load-quantiles": Variant("400 of 4,000 steps", _load),
    "road-vehicles": Variant("10 of 160 epochs, at 256 pixels", _vehicles),
    "sentence-embedder": Variant("6,000 of 75,000 sentences, 3 of 8 epochs", _embedder),
    "traffic-speed-quantiles": Variant("400 of 2,000 steps", _speeds),
}
