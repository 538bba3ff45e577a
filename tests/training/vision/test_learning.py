"""The parts that learn: who is responsible for what, what it costs, and that a run repeats."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra 'train')")

from plaza_training.progress import Silent  # noqa: E402 after the skip
from plaza_training.vision.assign import assign, pairwise_iou  # noqa: E402
from plaza_training.vision.loss import DetectionLoss, generalised_iou_loss  # noqa: E402
from plaza_training.vision.model import (  # noqa: E402
    STRIDES,
    NanoDetector,
    Scored,
    Width,
    grid,
    parameters,
)
from plaza_training.vision.render import rendered_frame  # noqa: E402
from plaza_training.vision.samples import decode_sample  # noqa: E402
from plaza_training.vision.train import Choices, train  # noqa: E402

pytestmark = pytest.mark.torch

SIZE = 64
TINY = Choices(seed=3, epochs=2, batch=4, size=SIZE, size_early=SIZE, warm_up=2, average=0.5)


def points_and_strides():
    points = torch.cat([grid(SIZE // s, SIZE // s, s) for s in STRIDES])
    strides = torch.cat([torch.full(((SIZE // s) ** 2,), float(s)) for s in STRIDES])
    return points, strides


def boxes_around(points, strides):
    half = strides[:, None]
    return torch.cat((points - half, points + half), 1)


def test_the_model_is_nano_and_answers_at_every_grid_point():
    model = NanoDetector(2).eval()
    assert parameters(model) <= 1_000_000
    boxes, scores = Scored(model)(torch.rand(3, 3, SIZE, SIZE))
    count = sum((SIZE // stride) ** 2 for stride in STRIDES)
    assert boxes.shape == (3, count, 4)
    assert scores.shape == (3, count, 2)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_grid_points_are_cell_centres_row_by_row():
    assert grid(1, 2, 8).tolist() == [[4, 4], [12, 4]]
    assert grid(2, 1, 16).tolist() == [[8, 8], [8, 24]]


def test_an_object_is_given_to_points_inside_it_with_the_boxes_that_fit():
    points, strides = points_and_strides()
    boxes = boxes_around(points, strides)
    target = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    found = assign(
        torch.zeros(len(points), 1),
        boxes,
        points,
        strides,
        targets=target,
        labels=torch.zeros(1, dtype=torch.long),
    )
    assert len(found.points) >= 1
    assert (points[found.points] > 8).all()
    assert (points[found.points] < 24).all()
    best = pairwise_iou(target, boxes)[0].max()
    assert found.quality.max() == best
    torch.testing.assert_close(found.quality, pairwise_iou(target, boxes)[0, found.points])


def test_a_point_stands_for_one_object_and_every_object_has_a_point():
    points, strides = points_and_strides()
    targets = torch.tensor(
        [[4.0, 4.0, 20.0, 20.0], [8.0, 6.0, 24.0, 22.0], [40.0, 40.0, 44.0, 44.0]]
    )
    found = assign(
        torch.zeros(len(points), 1),
        boxes_around(points, strides),
        points,
        strides,
        targets=targets,
        labels=torch.zeros(3, dtype=torch.long),
    )
    assert len(set(found.points.tolist())) == len(found.points)
    assert set(found.objects.tolist()) == {0, 1, 2}


def test_generalised_iou_loss_by_hand():
    a = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
    b = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0], [30.0, 0.0, 40.0, 10.0]])
    # IoU 1, 1/3, 0; the hull of the last pair is 400, of which 200 belong to neither box.
    torch.testing.assert_close(generalised_iou_loss(a, b), torch.tensor([0.0, 2 / 3, 1.5]))


def test_better_boxes_cost_less_and_an_empty_picture_asks_for_silence():
    points, strides = points_and_strides()
    boxes = boxes_around(points, strides)[None]
    loss = DetectionLoss(SIZE)
    target, label = torch.tensor([[8.0, 8.0, 24.0, 24.0]]), torch.zeros(1, dtype=torch.long)
    quiet = torch.full((1, len(points), 1), -5.0)
    near, _ = loss(quiet, boxes, [target], [label])
    far, _ = loss(quiet, boxes, [target + 5.0], [label])
    assert near < far
    empty, parts = loss(quiet, boxes, [torch.zeros(0, 4)], [label[:0]])
    loud, _ = loss(-quiet, boxes, [torch.zeros(0, 4)], [label[:0]])
    assert parts["box"] == 0
    assert empty < loud


@pytest.fixture(scope="module")
def pictures():
    return [decode_sample(rendered_frame(1, index, (96, 72))) for index in range(12)]


def weights_of(model):
    return np.concatenate([p.detach().numpy().ravel() for p in model.state_dict().values()])


def test_the_same_seed_gives_the_same_weights(pictures):
    one, two, other = (
        weights_of(train(pictures, replace(TINY, seed=seed), Silent())) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_an_interrupted_run_ends_with_the_same_weights(pictures, tmp_path):
    class Interrupted(Exception):
        pass

    class StopsAfter(Silent):
        def __init__(self, steps):
            self.left = steps

        def track(self, steps, what, total):
            for step in steps:
                if self.left == 0:
                    raise Interrupted
                self.left -= 1
                yield step

    choices = replace(TINY, epochs=7)
    whole = weights_of(train(pictures, choices, Silent()))
    with pytest.raises(Interrupted):  # in epoch 6, after the checkpoint of epoch 5
        train(pictures, choices, StopsAfter(17), state=tmp_path)
    resumed = train(pictures, choices, StopsAfter(6), state=tmp_path)
    np.testing.assert_array_equal(weights_of(resumed), whole)


def test_a_checkpoint_of_other_choices_is_not_used(pictures, tmp_path):
    train(pictures, TINY, Silent(), state=tmp_path)
    fresh = weights_of(train(pictures, replace(TINY, seed=9), Silent()))
    np.testing.assert_array_equal(
        weights_of(train(pictures, replace(TINY, seed=9), Silent(), state=tmp_path)), fresh
    )


def test_wider_models_are_a_matter_of_numbers():
    small = NanoDetector(1, Width((8, 8, 16, 16, 32), (1, 1, 1, 1), 16))
    assert parameters(small) < parameters(NanoDetector(1)) / 5
