"""Rejection is one more logit: it wins exactly where the best label is not believed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.text import classify, guide  # noqa: E402
from plaza_training.text.rejecting import Rejection, Wanted, choose  # noqa: E402

pytestmark = pytest.mark.torch

rows = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=8)


@given(rows, st.floats(0.05, 0.95), st.floats(0.5, 20))
def test_it_is_the_best_answer_where_the_best_label_is_less_likely_than_the_threshold(
    logits, threshold, slope
):
    given_ = torch.tensor([logits], dtype=torch.float64)
    likely = float(torch.softmax(given_, 1).max())
    outside = float(Rejection(threshold, slope).logit(given_))
    if abs(likely - threshold) > 1e-6:
        assert (outside > max(logits)) == (likely < threshold)


def test_the_threshold_keeps_away_from_missing_either_share():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 600)
    inside = torch.tensor(random.normal(size=(600, 5)) + 5 * np.eye(5)[truth])
    outside = torch.tensor(random.normal(size=(200, 5)))
    sure, best = (x.numpy() for x in torch.softmax(inside, 1).max(1))
    strange = torch.softmax(outside, 1).amax(1).numpy()

    def shares(wanted):
        threshold = choose(inside, truth, outside, wanted).threshold
        return ((best == truth) & (sure >= threshold)).mean(), (strange < threshold).mean()

    both = shares(Wanted(inside=0.85, outside=0.5))
    assert both[0] > 0.85
    assert both[1] > 0.5
    careful, strict = shares(Wanted(0.95, 0.1)), shares(Wanted(0.5, 0.9))
    assert careful[0] >= both[0] >= strict[0]
    assert careful[1] <= both[1] <= strict[1]


def test_a_guide_speaks_of_what_it_did_not_learn():
    random = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], 40)
    vectors = (np.eye(3)[truth] + random.normal(scale=0.4, size=(120, 3))).astype(np.float32)
    found = guide.unseen(vectors, truth, seed=1).numpy()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert (found.argmax(1) == truth).mean() > 0.85
    # One sentence whose label is wrong: whoever had learnt it would agree more than the others do.
    truth[0] = 2
    doubted = guide.unseen(vectors, truth, seed=1).numpy()[0, 2]
    learnt = guide.LinearHead(vectors, truth, 3).probabilities(vectors[:1]).numpy()[0, 2]
    assert doubted < learnt


@given(rows, st.floats(1.5, 5))
def test_a_softened_guide_is_less_sure_in_the_same_order(logits, temperature):
    sharp = torch.softmax(torch.tensor([logits], dtype=torch.float64), dim=1)
    soft = guide.softened(sharp, temperature)
    assert float(soft.sum()) == pytest.approx(1)
    assert float(soft.max()) <= float(sharp.max()) + 1e-9
    order = sharp[0].argsort(stable=True)
    assert (soft[0][order].diff() >= -1e-12).all()


def test_a_sentence_without_a_label_teaches_what_the_guide_says():
    logits = torch.zeros(2, 3, requires_grad=True)
    known = classify.Known(
        bags=None,
        targets=np.array([classify.NO_LABEL, 1]),
        rarity=None,
        guide=torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
    )
    loss = classify._loss(logits, known, np.array([0, 1]), classify.Choices(guidance=0.0))
    loss.backward()
    pulls = (-logits.grad).argmax(1).tolist()
    assert pulls == [2, 1]
