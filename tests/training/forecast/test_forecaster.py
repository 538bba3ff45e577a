"""One forecaster for every set: members, how they are weighed, and quantiles of what was wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.forecast.choose import absolute_error, shares_of, squared_error  # noqa: E402
from plaza_training.forecast.forecaster import (  # noqa: E402  after the skip
    Checked,
    Fixed,
    Forecaster,
    Linear,
    applied,
    quantiles_of,
)
from plaza_training.forecast.linear import seasonal  # noqa: E402
from plaza_training.forecast.ridges import Gram, standard_ridge  # noqa: E402

pytestmark = pytest.mark.torch
HORIZON = 4


def point_of(members, weighing, values):
    module = Forecaster(members, weighing, np.zeros((1, HORIZON)))
    return module(torch.tensor(values, dtype=torch.float32))[1].numpy()


def test_shares_weigh_members():
    members = [Linear(seasonal(8, HORIZON, 1)), Linear(seasonal(8, HORIZON, 4))]
    values = [[0, 0, 0, 0, 1, 2, 3, 4]]
    found = point_of(members, Fixed([0.25, 0.75]), values)
    np.testing.assert_allclose(found, [[1.75, 2.5, 3.25, 4.0]])


def test_a_window_trusts_the_member_that_was_right_about_it():
    """A series that repeats and one that stands still, in one batch, by the same two members."""
    members = [Linear(seasonal(8, HORIZON, 1)), Linear(seasonal(8, HORIZON, 4))]
    repeats, stands = np.tile([1.0, 5, 2, 7], 4), np.array([1.0] * 6 + [9.0] * 10)
    found = point_of(members, Checked(HORIZON, checks=2, power=8), np.stack([repeats, stands]))
    np.testing.assert_allclose(found[0], [1, 5, 2, 7], atol=1e-3)
    np.testing.assert_allclose(found[1], [9] * 4, atol=1e-3)


def test_what_comes_after_the_origin_does_not_change_a_check():
    """The last check ends where the window ends: only what a member could have known is read."""
    values = np.random.default_rng(1).normal(size=(5, 20))
    seen = []

    class Watched(Linear):
        def forward(self, past):
            seen.append(past.shape[-1])
            return super().forward(past)

    point_of([Watched(seasonal(8, HORIZON, 4))], Checked(HORIZON, checks=3, power=2), values)
    assert seen == [20, 16, 12, 8]


@pytest.mark.parametrize("frame", ["last", "spread", "season"])
@given(shift=st.floats(-50, 50), factor=st.floats(0.1, 50))
def test_a_frame_takes_unit_and_level_away(frame, shift, factor):
    random = np.random.default_rng(3)
    weights, bias = random.normal(size=(12, HORIZON)), random.normal(size=HORIZON)
    member = Linear(weights, bias * (frame != "last"), frame=frame, season=4, recent=8)
    values = random.normal(size=(6, 16))
    moved = applied(member, np.float32(values * factor + shift))
    expected = applied(member, np.float32(values)) * factor + shift
    np.testing.assert_allclose(moved, expected, rtol=2e-3, atol=2e-3 * (factor + abs(shift)))


def test_every_reach_and_penalty_of_one_pass_is_its_own_ridge():
    random = np.random.default_rng(4)
    x, y = random.normal(size=(60, 5)), random.normal(size=(60, 2))
    gram = Gram()
    gram.add(x[:20], y[:20])
    gram.add(x[20:], y[20:])
    near = x[:, -3:]
    for penalty, found in gram.solve([0.1, 2.0], 3).items():
        held = penalty * (near**2).sum() / 3 * np.eye(3)
        np.testing.assert_allclose(found, np.linalg.solve(near.T @ near + held, near.T @ y))


def test_a_ridge_on_standard_features_says_what_it_would_say_of_raw_ones():
    random = np.random.default_rng(5)
    x, law = random.normal(3, 2, size=(200, 4)), random.normal(size=(4, 2))
    x[:, 1] = 7.0  # a constant has no say
    weights, bias = standard_ridge(x, x @ law + 5, 1e-9)
    np.testing.assert_allclose(x @ weights + bias, x @ law + 5, atol=1e-6)
    assert (weights[1] == 0).all()


@given(st.integers(30, 300), st.integers(0, 2**31))
def test_quantiles_of_errors_never_cross_and_hold_their_share(n, seed):
    errors = np.random.default_rng(seed).normal(size=(n, 3))
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    found = quantiles_of(errors, levels)
    assert found.shape == (5, 3)
    assert (np.diff(found, axis=0) >= 0).all()
    inside = (found[0] <= errors) & (errors <= found[-1])
    assert (inside.mean(0) >= 0.9).all()


def test_the_members_that_validation_keeps_beat_each_alone():
    random = np.random.default_rng(6)
    actual = random.normal(size=(400, 3))
    tried = {f"m{k}": actual + random.normal(0, 1 + 0.2 * k, actual.shape) for k in range(4)}
    tried["wild"] = actual + 30
    loss = squared_error(actual)
    shares = shares_of(tried, loss)
    assert sum(shares.values()) == pytest.approx(1)
    assert "wild" not in shares
    mixed = sum(share * tried[name] for name, share in shares.items())
    assert loss(mixed) < 0.6 * min(map(loss, tried.values()))


def test_a_right_member_is_taken_alone():
    actual = np.arange(6.0).reshape(2, 3)
    tried = {"right": actual.copy(), "wrong": actual + 1}
    assert shares_of(tried, absolute_error(actual)) == {"right": 1.0}
