"""Candidate against champion: an interval that is right, and a proposal that has to be earned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import InvalidInput
from plaza_training.recipe import Losses, Report
from plaza_training.versus import compare

pytestmark = pytest.mark.torch


def report(each, baselines=None, stretch=1):
    each = np.asarray(each, np.float64)
    metrics = {"mse": float(each.mean())}
    return Report("a split", metrics, baselines or {}, Losses("mse", each, stretch))


def noisy(seed, n=400, better=0.0):
    """Losses of two models on the same windows, hard ones and easy ones."""
    random = np.random.default_rng(seed)
    hard = random.gamma(2, 1, n)
    return hard * random.uniform(0.9, 1.1, n) * (1 - better), hard * random.uniform(0.9, 1.1, n)


def test_a_model_that_is_better_everywhere_is_proposed():
    mine, theirs = noisy(1, better=0.05)
    verdict = compare(report(mine), report(theirs), seed=1)
    assert verdict.proposed
    assert verdict.low < verdict.change < verdict.high < 0
    assert verdict.change == pytest.approx(mine.sum() / theirs.sum() - 1)
    assert "proposed" in verdict.words()


def test_chance_is_no_reason_to_promote():
    wins = 0
    for seed in range(60):
        mine, theirs = noisy(seed)
        wins += compare(report(mine), report(theirs), seed=seed).wins
    assert wins <= 6  # 2.5 % are to be expected


def test_windows_that_go_together_count_as_one():
    """The same hundred losses ten times over say no more than once."""
    mine, theirs = noisy(3, n=100, better=0.02)
    once = compare(report(mine), report(theirs), seed=1)
    tenfold = [np.repeat(each, 10) for each in (mine, theirs)]
    alike = compare(*(report(each, stretch=10) for each in tenfold), seed=1)
    naive = compare(*(report(each) for each in tenfold), seed=1)
    width = once.high - once.low
    assert alike.high - alike.low == pytest.approx(width, rel=0.3)
    assert naive.high - naive.low < width / 2


def test_who_does_not_beat_its_baselines_is_not_proposed():
    mine, theirs = noisy(1, better=0.2)
    simple = {"ridge": {"mse": 0.1}, "last value": {"mse": 9.0}}
    verdict = compare(report(mine, simple), report(theirs), seed=1)
    assert verdict.wins
    assert not verdict.proposed
    assert verdict.unbeaten == ("ridge",)
    assert "no better than ridge" in verdict.words()


@pytest.mark.parametrize("other", [report([1.0, 2.0]), Report("a split", {"mse": 1.0}, {})])
def test_other_windows_are_not_compared(other):
    with pytest.raises(InvalidInput):
        compare(report([1.0, 2.0, 3.0]), other, seed=1)


@settings(max_examples=20)
@given(st.integers(1, 50), st.integers(1, 80), st.integers(0, 99))
def test_a_model_against_itself_changes_nothing(n, stretch, seed):
    each = np.random.default_rng(seed).uniform(0.1, 1, n)
    verdict = compare(report(each, stretch=stretch), report(each, stretch=stretch), seed=seed)
    assert (verdict.change, verdict.low, verdict.high) == (0, 0, 0)
    assert not verdict.wins
