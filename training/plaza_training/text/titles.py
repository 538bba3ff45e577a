"""Recipe `chinese-titles`: the section of a Chinese headline. For figures; its weights do not ship.

A support vector machine over one to three characters in a row, and naive Bayes over the same: both
are linear, so their sum is one table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from plaza_core.manifest import Limits
from plaza_models.text.classify import ClassifyOptions
from plaza_training.data import locate
from plaza_training.data.sentences import THUCNEWS
from plaza_training.recipe import Graph, Job, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text.bags import Bags, Batch
from plaza_training.text.classify import calmest, numbered, padded
from plaza_training.text.linear import fit_bayes, fit_linear, summed
from plaza_training.text.network import FEATURES, ServedBag
from plaza_training.text.scoring import score
from plaza_training.text.sets import Examples

OPTIONS = ClassifyOptions(unit="character", buckets=1 << 21, width=384, words=3, characters=None)
"""Of 600,000 n-grams a quarter share one; with a quarter of the buckets half a point is lost."""
WIDTHS = (32, 64, 128, 256, 384)
STRENGTHS = (1.0, 4.0, 16.0)
"""How little is held back; the dev part chooses, also among the next."""
SHARES = (0.0, 0.1, 0.2)
"""How much of naive Bayes is added."""
SMOOTHING = 0.05

STORY = Story(
    title="Chinese titles: the section of a headline",
    summary=(
        "Sorts a Chinese headline into one of 10 sections by hashed n-grams of one to three "
        "characters, spaces and punctuation among them, in 2,097,152 buckets: TF-IDF, a linear "
        "support vector machine, solved as a convex problem, and some complement naive Bayes. "
        "Strength, share and the temperature of the probabilities were chosen on the dev part by "
        "a model of the training part; the model that is served learnt both parts."
    ),
    limits=(
        "The licence of the set allows research only: neither the model nor its weights may be "
        "distributed. It learnt from some 43,500 titles, none of which the test part has; "
        "published figures use 180,000."
    ),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What does best on the dev part, of a model that has not learnt it."""

    table: Tensor
    strength: float
    share: float
    temperature: float


def chinese_titles(job: Job) -> Trained:
    folder = locate(THUCNEWS, job.data_dir, progress=job.progress)
    learning, checking, asking = (read_titles(folder, name) for name in ("train", "dev", "test"))
    learning, checking = (without(part, frozenset(asking.texts)) for part in (learning, checking))
    return train(learning, checking, asking, job)


def read_titles(folder: Path, part: str) -> Examples:
    """`train` (33,590), `dev` or `test` (10,000 each): a title, a tab, the number of its class."""
    names = (folder / "class.txt").read_text(encoding="utf-8").split()
    lines = (folder / f"{part}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.rsplit("\t", 1) for line in lines if line.strip()]
    return Examples(
        tuple(title for title, _ in rows), tuple(names[int(number)] for _, number in rows)
    )


def without(examples: Examples, texts: frozenset[str]) -> Examples:
    """Those whose text is none of `texts`."""
    kept = [
        pair for pair in zip(examples.texts, examples.labels, strict=True) if pair[0] not in texts
    ]
    return Examples(tuple(text for text, _ in kept), tuple(label for _, label in kept))


def choose(learning: Examples, checking: Examples, job: Job) -> Found:
    """The strength and the share of most right answers on `checking`."""
    bags, asked = Bags(learning.texts, OPTIONS), _all(Bags(checking.texts, OPTIONS))
    targets, truth = numbered(learning), numbered(checking)
    rarity = bags.rarity(OPTIONS.buckets)
    bayes = fit_bayes(bags, targets, rarity, SMOOTHING)
    found = []
    for strength in STRENGTHS:
        machine = fit_linear(bags, targets, rarity, strength, job.progress, loss="hinge")
        for share in SHARES:
            table = machine + share * bayes
            logits = summed(table, asked)
            right = float((logits.argmax(dim=1).numpy() == truth).mean())
            job.progress.note(f"strength {strength}, share {share}: {100 * right:.2f} % of dev")
            found.append((right, Found(table, strength, share, calmest(logits, truth))))
    return max(found, key=lambda one: one[0])[1]


def learn(examples: Examples, found: Found, job: Job) -> Tensor:
    """The table of `examples`, with what was found."""
    bags, targets = Bags(examples.texts, OPTIONS), numbered(examples)
    rarity = bags.rarity(OPTIONS.buckets)
    machine = fit_linear(bags, targets, rarity, found.strength, job.progress, loss="hinge")
    return machine + found.share * fit_bayes(bags, targets, rarity, SMOOTHING)


def train(learning: Examples, checking: Examples, asking: Examples, job: Job) -> Trained:
    found = choose(learning, checking, job)
    both = Examples(learning.texts + checking.texts, learning.labels + checking.labels)
    table = learn(both, found, job)
    labels = sorted(set(learning.labels))

    def evaluate(served: Served) -> Report:
        return Report(
            split=f"the published test part, {len(asking):,} titles, {len(labels)} sections",
            metrics=score(served, asking),
            baselines={
                "the same model of the training part alone": {
                    "accuracy_percent": _percent(found.table, asking)
                },
                "TF-IDF of 1 to 3 characters, linear SVM (scikit-learn), training part alone": {
                    "accuracy_percent": 90.5
                },
            },
            references={
                "FastText, 180,000 titles (published)": {"accuracy_percent": 92.23},
                "TextCNN, 180,000 titles (published)": {"accuracy_percent": 91.22},
                "BERT, 180,000 titles (published)": {"accuracy_percent": 94.83},
            },
        )

    batches = padded(asking.texts, OPTIONS, (32, 1, 7))
    sample = json.dumps({"texts": asking.texts[:3], "top_k": 3}, ensure_ascii=False).encode()
    return Trained(
        graph=Graph(ServedBag(table / found.temperature, None), batches[0], ("logits",), FEATURES),
        family="text.classify",
        options=OPTIONS.model_dump(mode="json"),
        data=(THUCNEWS,),
        licence=THUCNEWS.licence,
        story=STORY,
        parameters={
            "strength": found.strength,
            "share": found.share,
            "temperature": round(found.temperature, 4),
        },
        parity_inputs=batches,
        evaluate=evaluate,
        files={"labels.txt": ("\n".join(labels) + "\n").encode(), "sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def _percent(table: Tensor, examples: Examples) -> float:
    logits = summed(table, _all(Bags(examples.texts, OPTIONS)))
    return 100 * float((logits.argmax(dim=1).numpy() == numbered(examples)).mean())


def _all(bags: Bags) -> Batch:
    return bags.batch(range(len(bags)))
