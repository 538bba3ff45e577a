"""Text models learn from made-up sentences: templates whose intent is in their words."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_models.text.classify import ClassifyOptions  # noqa: E402  after the skip
from plaza_models.text.embed import EmbedOptions  # noqa: E402
from plaza_models.text.ngrams import features  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.text import classify  # noqa: E402
from plaza_training.text.bags import Bags  # noqa: E402
from plaza_training.text.neighbours import score, tfidf  # noqa: E402
from plaza_training.text.network import BagEncoder, joined  # noqa: E402
from plaza_training.text.scoring import calibration_error  # noqa: E402
from plaza_training.text.sets import Examples  # noqa: E402

pytestmark = pytest.mark.torch

VERBS = ("block", "open", "renew", "pay", "cancel", "find", "move", "report", "print", "sell")
OPENINGS = ("please", "how do I", "can you", "I want to", "where do I", "must I", "help me")
THINGS = ("card", "permit", "fine", "lamp", "account", "ticket", "garden", "passport", "bin")


def sentences(split):
    """63 per verb, every third of them for testing."""
    rows = [
        (f"{opening} {verb} my {thing}", verb)
        for verb in VERBS
        for number, (opening, thing) in enumerate((o, t) for o in OPENINGS for t in THINGS)
        if (number % 3 == 0) == (split == "test")
    ]
    return Examples(tuple(text for text, _ in rows), tuple(label for _, label in rows))


def test_a_classifier_learns_its_labels_and_says_how_sure_it_is(job, tmp_path, runners):
    options = ClassifyOptions(buckets=2048, width=96)
    choices = classify.Choices(dimension=16, epochs=6, rows_per_step=32)

    def recipe(given):
        return classify.train(sentences("train"), sentences("test"), options, choices, job=given)

    made = produce("intents", recipe, job, tmp_path / "out", runners)
    assert made.report.metrics["accuracy_percent"] > 90
    assert made.report.metrics["calibration_error_percent"] < 10
    assert made.parity.max_abs_error < 1e-4
    labels = (made.directory / "labels.txt").read_text().splitlines()
    assert labels == sorted(VERBS)


def test_training_and_serving_read_a_text_alike():
    options = EmbedOptions(buckets=512, width=64)
    texts = ["please block my card", "Block MY card!", "地铁 late"]
    torch.manual_seed(0)
    bags = Bags(texts, options)
    encoder = BagEncoder(bags.rarity(512), 8, 3, dropout=0.5).eval()
    read = features(texts, options)
    with torch.no_grad():
        trained = encoder(bags.batch(range(3)))
        served = encoder.served()(torch.from_numpy(read.indices), torch.from_numpy(read.weights))
    # float16 vectors have 11 significant bits
    np.testing.assert_allclose(trained.numpy(), served.numpy(), atol=5e-3)


def test_the_temperature_only_divides():
    bags = Bags(["one", "two words"], EmbedOptions(buckets=64, width=32))
    encoder = BagEncoder(bags.rarity(64), 4, 2, dropout=0.0).eval()
    read = features(["one", "two words"], EmbedOptions(buckets=64, width=32))
    given = torch.from_numpy(read.indices), torch.from_numpy(read.weights)
    with torch.no_grad():
        plain, divided = encoder.served()(*given), encoder.served(temperature=2.0)(*given)
    np.testing.assert_allclose(divided.numpy() * 2, plain.numpy(), rtol=1e-5)


@pytest.mark.parametrize("rounded", [False, True])
def test_members_side_by_side_give_the_mean_of_what_each_gives(rounded):
    options = EmbedOptions(buckets=64, width=32)
    texts = ["one", "two words", "three small words"]
    bags = Bags(texts, options)
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(BagEncoder(bags.rarity(64), 4, 2, dropout=0.0).eval())
    one = joined(members)
    read = features(texts, options)
    with torch.no_grad():
        mean = sum(member(bags.batch(range(3))) for member in members) / 3
        served = one.served(temperature=0.5, rounded=rounded)(
            torch.from_numpy(read.indices), torch.from_numpy(read.weights)
        )
        np.testing.assert_allclose(one(bags.batch(range(3))), mean, atol=1e-6)
    np.testing.assert_allclose(served, 2 * mean, atol=2e-2 if rounded else 5e-3)


def test_neighbour_scores_of_a_known_case():
    similar = np.float32([[0.9, 0.1, 0.5], [0.2, 0.8, 0.9]])
    found = score(similar, ["a", "b"], ["a", "b", "a"])
    assert found["nearest_percent"] == 50
    # The first query ranks both of its like above the other; the second ranks one other above.
    assert found["separation_percent"] == pytest.approx(75)


def test_tfidf_of_a_text_with_itself_is_one():
    bags = Bags(["block my card", "open the garden"], EmbedOptions(buckets=512, width=64))
    similar = tfidf(bags, bags, bags.rarity(512))
    np.testing.assert_allclose(np.diag(similar), 1, rtol=1e-5)
    assert similar[0, 1] < 0.2


def test_calibration_error_is_the_gap_between_saying_and_being_right():
    sure = np.array([0.9] * 10 + [0.6] * 10)
    hit = np.array([True] * 9 + [False] + [True] * 3 + [False] * 7)
    assert calibration_error(sure, hit) == pytest.approx(0.15)
