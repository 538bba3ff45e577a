"""The recipe of Chinese titles, over made-up ones: what is linear learns what signs alone tell."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_models.text.ngrams import NgramOptions  # noqa: E402  after the skip
from plaza_training.card import read_front_matter  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.progress import Silent  # noqa: E402
from plaza_training.text import titles  # noqa: E402
from plaza_training.text.bags import Bags  # noqa: E402
from plaza_training.text.linear import fit_bayes, fit_linear, summed  # noqa: E402
from plaza_training.text.sets import Examples  # noqa: E402

pytestmark = pytest.mark.torch

SIGNS = {"图书": "《{}》", "体育": "{}2:1", "问答": "{}？", "股票": "{} 涨3%"}
SUBJECTS = "红楼春水江南旧事北京早晨大海少年老街新城西湖高山白云明月长河"


def headlines(first, last):
    """Of every section, about the same subjects: only signs and figures tell them apart."""
    pairs = [SUBJECTS[n : n + 2] for n in range(first, last)]
    rows = [(said.format(pair), label) for label, said in SIGNS.items() for pair in pairs]
    return Examples(tuple(text for text, _ in rows), tuple(label for _, label in rows))


def test_headlines_are_told_apart_by_their_signs(job, tmp_path, runners, monkeypatch):
    small = titles.OPTIONS.model_copy(update={"buckets": 1 << 12})
    monkeypatch.setattr(titles, "OPTIONS", small)
    parts = headlines(0, 14), headlines(14, 18), headlines(18, 28)

    made = produce("t", lambda given: titles.train(*parts, given), job, tmp_path / "out", runners)

    card = read_front_matter((made.directory / "CARD.md").read_text(encoding="utf-8"))
    assert card["metrics"]["accuracy_percent"] == 100
    assert card["baselines"]["the same model of the training part alone"]["accuracy_percent"] > 90
    assert card["parameters"]["strength"] in titles.STRENGTHS
    assert card["parameters"]["share"] in titles.SHARES


def test_what_is_measured_is_not_learnt():
    learning, asking = headlines(0, 4), headlines(3, 6)
    kept = titles.without(learning, frozenset(asking.texts))
    assert kept == headlines(0, 3)


@pytest.mark.parametrize("way", ["log", "hinge", "bayes"])
def test_what_is_linear_learns_words_and_gives_unseen_ones_nothing(way):
    options = NgramOptions(buckets=4096, width=64, words=1, characters=None)
    bags = Bags([f"{word} {n}" for word in ("late", "lost", "new") for n in range(10)], options)
    targets, rarity = np.repeat([0, 1, 2], 10), bags.rarity(4096)
    if way == "bayes":
        table = fit_bayes(bags, targets, rarity, 0.05)
    else:
        table = fit_linear(bags, targets, rarity, 10.0, Silent(), loss=way)
    asked = Bags(["it is late", "lost again", "a new one", "never heard"], options)
    logits = summed(table, asked.batch(range(4))).numpy()
    assert logits.argmax(1).tolist()[:3] == [0, 1, 2]
    assert (logits[3] == 0).all()


def test_a_margin_is_kept_whatever_the_length_of_a_text():
    """The right side of it, by 1, of texts of length 1."""
    options = NgramOptions(buckets=4096, width=64, words=1, characters=None)
    bags = Bags(["late", "late lost lost", "new", "new fresh fresh"], options)
    rarity = bags.rarity(4096)
    table = fit_linear(bags, np.array([0, 0, 1, 1]), rarity, 1e4, Silent(), loss="hinge")
    batch = bags.batch(range(4))
    lengths = [
        np.linalg.norm(weights * rarity[index])
        for index, weights in zip(bags.indices, bags.weights, strict=True)
    ]
    margins = summed(table, batch).numpy() / np.array(lengths)[:, None]
    np.testing.assert_allclose(margins, [[1, -1], [1, -1], [-1, 1], [-1, 1]], atol=0.01)
