"""Recipe `road-vehicles`: where the vehicles are in a picture of a road camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.tasks import DetectTask
from plaza_training.data.pictures import ROADCAM4, VEHICLE626
from plaza_training.recipe import Graph, Job, Report, Story, Trained
from plaza_training.served import Opened, Served
from plaza_training.vision.judge import (
    constant_count_error,
    crossed_count_error,
    figures,
    judge,
)
from plaza_training.vision.metrics import average_precision, counting_threshold
from plaza_training.vision.model import Scored, parameters
from plaza_training.vision.render import rendered_frame
from plaza_training.vision.samples import decode_sample
from plaza_training.vision.sets import (
    HELD_OUT_VIDEOS,
    LABELS,
    Frame,
    RoadData,
    load_road_data,
)
from plaza_training.vision.torch_served import INPUT, OUTPUTS, served_by_torch
from plaza_training.vision.train import Choices, train

SAMPLE = "samples/rendered-road.jpg"
LIMITS = Limits(max_batch=16)
_PARITY_BATCHES = (1, 4, 11)

STORY = Story(
    title="Road vehicles: cars, vans, buses and trucks in pictures of road cameras",
    summary=(
        "Finds motor vehicles with four wheels or more and gives each a box and a score; the one "
        "class is `vehicle`. An anchor-free detector of under a million weights at 384 x 384 "
        "pixels, designed and trained from random weights by this project on one processor core, "
        "meant for counting vehicles on fixed cameras where a fraction of a core has to do. The "
        "score is trained towards the overlap of its own box with the object. The threshold "
        "and the overlap in the manifest gave the smallest counting error on known cameras."
    ),
    limits=(
        "Trained on few places: on a camera of your own expect the numbers of the cameras never "
        "seen, not those of the known ones, and measure before relying on it. Known cameras are "
        "measured on other frames of the same videos, which resemble the training frames closely; "
        "of the held-out videos, test2 shows a cutting much like that of test, which is in "
        "training. Vehicles under about 10 pixels at input size are missed: on the wide views of "
        "roadcam4 that is half of them, and its counts come out low. Street scenes with parked or "
        "half-hidden vehicles (video 2) are weaker than highways, partly because their labels are "
        "incomplete. Motorcycles and bicycles are background. In dark or torn frames vehicles are "
        "missed: the answer's `faults` name most such frames, and a count of 0 in one is no empty "
        "road. It is not made to identify people or number plates."
    ),
)


def road_vehicles(job: Job) -> Trained:
    """From the public sets, with the choices that ship."""
    return learn(load_road_data(job.data_dir, progress=job.progress), Choices(seed=job.seed), job)


def learn(data: RoadData, choices: Choices, job: Job, *, state: Path | None = None) -> Trained:
    """Train on `data.train`; the counting threshold is chosen on `data.known`."""
    samples = [decode_sample(frame) for frame in data.train]
    detector = train(samples, choices, job.progress, classes=len(LABELS), state=state)
    module = Scored(detector)
    module.eval()
    # The families are asked as they will be served; torch stands in for the exported graph.
    served = served_by_torch(module, choices.size, options_at(0.5))
    known = judge(served, data.known)
    threshold = counting_threshold(known)
    return Trained(
        graph=Graph(module, {INPUT: _pictures(served, data.known[:2])}, OUTPUTS),
        family="vision.detect",
        options=options_at(threshold),
        data=(VEHICLE626, ROADCAM4),
        licence="Apache-2.0",
        story=STORY,
        parameters={
            **asdict(choices),
            "weights": parameters(detector),
            "held_out_videos": list(HELD_OUT_VIDEOS),
            "ap50_known_by_torch": round(average_precision(known), 5),
        },
        parity_inputs=list(_parity_inputs(served, data.unseen)),
        evaluate=Evaluation(data, threshold),
        files={SAMPLE: rendered_frame(choices.seed, 0, (640, 360)).image},
        samples=(SAMPLE,),
        limits=LIMITS,
    )


def options_at(threshold: float) -> dict[str, Any]:
    return {
        "decoder": "plaza-nano",
        "preprocess": {"fit": "letterbox", "anchor": "centre", "fill": 114, "colours": "rgb"},
        "labels": list(LABELS),
        "threshold": threshold,
        "iou": 0.5,
    }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measures a served bundle. The threshold is that of the known cameras everywhere, except for
    their own counting error, which is crossed."""

    data: RoadData
    threshold: float

    def __call__(self, served: Served) -> Report:
        known = judge(served, self.data.known)
        unseen = judge(served, self.data.unseen)
        other = judge(served, self.data.other)
        metrics = {
            **figures("known", known, self.threshold),
            "count_mae_known": crossed_count_error(known),
            **figures("unseen", unseen, self.threshold),
            **figures("roadcam4", other, self.threshold),
        }
        for camera in sorted({frame.camera for frame in self.data.unseen}):
            frames = zip(self.data.unseen, unseen, strict=True)
            mine = [judged for frame, judged in frames if frame.camera == camera]
            metrics[f"ap50_{camera}"] = average_precision(mine)
        constant = {
            "count_mae_known": constant_count_error(known, known),
            "count_mae_unseen": constant_count_error(known, unseen),
            "count_mae_roadcam4": constant_count_error(known, other),
        }
        return Report(self._split(), metrics, {"always the median count": constant})

    def _split(self) -> str:
        cameras = sorted({frame.camera for frame in self.data.unseen})
        return (
            f"known: {len(self.data.known)} published validation frames of cameras in training; "
            f"unseen: all {len(self.data.unseen)} frames of the held-out videos "
            f"{', '.join(cameras)}; roadcam4: its {len(self.data.other)} validation and test "
            "frames. AP by all-point interpolation; counts at a threshold chosen on other frames"
        )


def _pictures(served: Opened, frames: Sequence[Frame]) -> Array:
    rows = [served.family.prepare(DetectTask(f.image)).tensors[INPUT] for f in frames]
    return np.concatenate(rows)


def _parity_inputs(served: Opened, frames: Sequence[Frame]) -> Iterator[dict[str, Array]]:
    """Held-out frames, spread over their cameras, in batches of several sizes."""
    spread = frames[:: max(1, len(frames) // sum(_PARITY_BATCHES))]
    start = 0
    for count in _PARITY_BATCHES:
        if chosen := spread[start : start + count]:
            yield {INPUT: _pictures(served, chosen)}
        start += count
