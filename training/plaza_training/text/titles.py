"""Recipe `chinese-titles`: the section of a Chinese headline. For figures; its weights do not ship.

Every character is a word to the n-grams, so this is a model of one to three characters in a row.
"""

from __future__ import annotations

import json
from pathlib import Path

from plaza_core.manifest import Limits
from plaza_models.text.classify import ClassifyOptions
from plaza_training.data import locate
from plaza_training.data.sentences import THUCNEWS
from plaza_training.recipe import Graph, Job, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text.bags import Bags
from plaza_training.text.classify import calmest, numbered, padded
from plaza_training.text.linear import fit_linear, summed
from plaza_training.text.network import FEATURES, ServedBag
from plaza_training.text.scoring import score
from plaza_training.text.sets import Examples

OPTIONS = ClassifyOptions(buckets=1 << 19, width=384, words=3, characters=None)
WIDTHS = (32, 64, 128, 256, 384)
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
"""How little is held back; the dev part chooses."""

STORY = Story(
    title="Chinese titles: the section of a headline",
    summary=(
        "Sorts a Chinese headline into one of 10 sections by hashed n-grams of one to three "
        "characters in 524,288 buckets: TF-IDF and logistic regression, solved as a convex "
        "problem. Its strength and the temperature of the probabilities were chosen on the dev "
        "part."
    ),
    limits=(
        "The licence of the set allows research only: neither the model nor its weights may be "
        "distributed. It learnt from 33,590 of the 180,000 titles that published figures use; 33 "
        "titles of the test part are also among them."
    ),
)


def chinese_titles(job: Job) -> Trained:
    folder = locate(THUCNEWS, job.data_dir, progress=job.progress)
    learning, checking, asking = (read_titles(folder, name) for name in ("train", "dev", "test"))
    return train(learning, checking, asking, job)


def read_titles(folder: Path, part: str) -> Examples:
    """`train` (33,590), `dev` or `test` (10,000 each): a title, a tab, the number of its class."""
    names = (folder / "class.txt").read_text(encoding="utf-8").split()
    lines = (folder / f"{part}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.rsplit("\t", 1) for line in lines if line.strip()]
    return Examples(
        tuple(title for title, _ in rows), tuple(names[int(number)] for _, number in rows)
    )


def train(learning: Examples, checking: Examples, asking: Examples, job: Job) -> Trained:
    bags, others = Bags(learning.texts, OPTIONS), Bags(checking.texts, OPTIONS)
    asked = others.batch(range(len(others)))
    targets, truth = numbered(learning), numbered(checking)
    rarity = bags.rarity(OPTIONS.buckets)
    found = []
    for strength in STRENGTHS:
        table = fit_linear(bags, targets, rarity, strength, job.progress)
        logits = summed(table, asked)
        right = float((logits.argmax(dim=1).numpy() == truth).mean())
        job.progress.note(f"strength {strength}: {100 * right:.2f} % of the dev part")
        found.append((right, strength, table, logits))
    _, strength, table, logits = max(found, key=lambda one: one[0])
    temperature = calmest(logits, truth)
    labels = sorted(set(learning.labels))

    def evaluate(served: Served) -> Report:
        return Report(
            split=f"the published test part, {len(asking):,} titles, {len(labels)} sections",
            metrics=score(served, asking),
            baselines={
                "TF-IDF of 1 to 3 characters, linear SVM (scikit-learn), same titles": {
                    "accuracy_percent": 90.5
                }
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
        graph=Graph(ServedBag(table / temperature, None), batches[0], ("logits",), FEATURES),
        family="text.classify",
        options=OPTIONS.model_dump(mode="json"),
        data=(THUCNEWS,),
        licence=THUCNEWS.licence,
        story=STORY,
        parameters={"temperature": round(temperature, 4), "strength": strength},
        parity_inputs=batches,
        evaluate=evaluate,
        files={"labels.txt": ("\n".join(labels) + "\n").encode(), "sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )
