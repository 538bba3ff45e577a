"""Training step by step: stopping early, going on after a cut, curves."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.loop import CHECKPOINT, Loop, Pace  # noqa: E402  after the skip
from plaza_training.runs import NoLog  # noqa: E402

pytestmark = pytest.mark.torch


class Curves(NoLog):
    def __init__(self):
        self.points = []

    def value(self, name, value, step):
        self.points.append((name, step, value))


class Cut(Exception):
    """The machine goes away."""


class Task:
    """A line through noisy points: (module, loop, one step's loss)."""

    def __init__(self, seed=3, rate=0.05):
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.module = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        optimiser = torch.optim.AdamW(self.module.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1, 0.1, total_iters=60)
        choices = {"seed": seed, "rate": rate}
        self.loop = Loop(self.module, optimiser, schedule, self.random, choices=choices)
        self.cut_at = None
        self.step = 0

    def loss(self):
        self.step += 1
        if self.step == self.cut_at:
            raise Cut
        x = torch.from_numpy(self.random.normal(size=(16, 2)).astype(np.float32))
        return ((self.module(x) - x.sum(1, keepdim=True)) ** 2).mean()

    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])


def test_a_run_that_was_cut_off_ends_where_it_would_have_ended(job, tmp_path):
    whole = Task()
    whole.loop.run(Pace(60, every=10), job, whole.loss)
    kept = replace(job, state=tmp_path / "state")
    cut = Task()
    cut.cut_at = 37
    with pytest.raises(Cut):
        cut.loop.run(Pace(60, every=10), kept, cut.loss)
    torch.manual_seed(99)  # the generator of a new process knows nothing of the old one
    again = Task()
    again.loop.run(Pace(60, every=10), kept, again.loss)
    assert again.step == 30
    assert torch.equal(again.weights(), whole.weights())


def test_a_checkpoint_of_other_choices_is_not_taken(job, tmp_path):
    kept = replace(job, state=tmp_path)
    first = Task()
    first.loop.run(Pace(20, every=10), kept, first.loss)
    other = Task(rate=0.01)
    other.loop.run(Pace(20, every=10), kept, other.loss)
    assert other.step == 20
    assert (tmp_path / CHECKPOINT).exists()


def test_it_stops_when_validation_has_not_got_better_and_takes_the_best(job):
    task, looked = Task(), []
    losses = iter([5.0, 3.0, 4.0, 4.0, 4.0, 1.0])

    def valid():
        looked.append(task.weights().clone())
        return next(losses)

    taken = task.loop.run(Pace(60, every=10, patience=3), job, task.loss, valid)
    assert taken == 20
    assert len(looked) == 5
    assert torch.equal(task.weights(), looked[1])


def test_patience_that_had_run_out_stays_so_after_a_cut(job, tmp_path):
    kept = replace(job, state=tmp_path)
    task = Task()
    assert (
        task.loop.run(Pace(60, every=10, patience=1), kept, task.loss, iter([1.0, 2.0]).__next__)
        == 10
    )
    again = Task()
    assert again.loop.run(Pace(60, every=10, patience=1), kept, again.loss, lambda: 0.0) == 10
    assert again.step == 0


def test_curves_have_a_point_for_each_look(job):
    task, curves = Task(), Curves()
    task.loop.run(Pace(25, every=10), replace(job, log=curves), task.loss, lambda: 2.0)
    assert [(name, step) for name, step, _ in curves.points] == [
        (name, step) for step in (10, 20, 25) for name in ("loss", "validation loss")
    ]
