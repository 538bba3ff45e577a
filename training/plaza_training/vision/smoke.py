"""The whole run in small, on rendered pictures, in half a minute: proves the path, makes no model
for use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from plaza_training.recipe import Job, Story, Trained
from plaza_training.vision.recipe import learn
from plaza_training.vision.render import rendered_frame
from plaza_training.vision.sets import Frame, RoadData
from plaza_training.vision.train import Choices

_SIZE = (160, 120)
_STORY = Story(
    title="Smoke run of the road-vehicle recipe",
    summary="Trained for seconds on rendered pictures, to prove that the recipe runs.",
    limits="Not for use.",
)


def smoke_data(seed: int) -> RoadData:
    """Disjoint rendered pictures in every role."""

    def frames(numbers: Iterable[int]) -> tuple[Frame, ...]:
        return tuple(rendered_frame(seed, number, _SIZE) for number in numbers)

    return RoadData(
        train=frames(range(1, 161)),
        known=frames(range(200, 220)),
        unseen=frames(range(300, 332)),
        other=frames(range(400, 410)),
    )


def smoke_choices(seed: int) -> Choices:
    return Choices(
        seed=seed, epochs=8, batch=8, size=128, size_early=96, early=0.5, warm_up=10, average=0.9
    )


def smoke(job: Job) -> Trained:
    """A detector of rendered cars. Its card names no public data, for it saw none."""
    trained = learn(smoke_data(job.seed), smoke_choices(job.seed), job)
    return replace(trained, data=(), story=_STORY)
