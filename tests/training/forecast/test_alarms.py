"""Warnings measured on a history that can be counted by hand."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.forecast.alarms import brier, by_lead, notice, reliability, warnings

pytestmark = pytest.mark.torch


def test_precision_recall_and_false_alarms_at_each_lead():
    chances = np.array([[0.9, 0.2], [0.8, 0.7], [0.1, 0.6], [0.2, 0.1]])
    came = np.array([[True, True], [False, True], [True, False], [False, False]])
    near, far = by_lead(chances, came, 0.5)
    assert (near.precision, near.recall, near.false_alarms, near.events) == (0.5, 0.5, 0.5, 2)
    assert (far.steps, far.precision, far.recall) == (2, 0.5, 0.5)


def test_what_never_came_has_no_recall():
    (lead,) = by_lead(np.array([[0.9]]), np.array([[False]]), 0.5)
    assert np.isnan(lead.recall)
    assert lead.false_alarms == 1


def test_chances_that_mean_what_they_say_lie_on_the_diagonal():
    random = np.random.default_rng(2)
    chances = random.random((20_000, 2))
    came = random.random(chances.shape) < chances
    for part in reliability(chances, came):
        assert part.said == pytest.approx(part.came, abs=0.03)
    assert brier(chances, came) == pytest.approx(1 / 6, abs=0.01)
    assert sum(part.count for part in reliability(chances, came)) == chances.size


def test_notice_is_counted_from_when_the_level_rose_and_stayed():
    came = [False, False, False, True, True, False, True, False, True]
    levels = [1, 0, 1, 1, 2, 0, 0, 0, 1]
    assert notice(levels, came) == [1, None, 0]


def test_a_warning_is_in_vain_when_nothing_came_while_it_lasted():
    raised = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 0, 0, 0]], bool).T
    ahead = np.array([[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1]], bool).T
    assert warnings(raised, ahead) == (4, 3)
    assert warnings(raised[:0], ahead[:0]) == (0, 0)
