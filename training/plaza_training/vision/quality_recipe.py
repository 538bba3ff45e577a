"""Recipe `picture-quality`: which pictures of a camera cannot be counted on.

Its weights are the limits of `plaza_models.vision.quality`, set by hand on the frames of these
sets; nothing is fitted. What it makes of them is measured like any model, as it is served.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from plaza_core.manifest import Limits
from plaza_models.vision.image import decode
from plaza_models.vision.quality import LIMITS, MEASURES, SIGNS, look
from plaza_models.vision.tasks import Quality, QualityTask
from plaza_training.data import locate
from plaza_training.data.registry import SETS
from plaza_training.recipe import Graph, Job, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.vision.quality import frames, tell
from plaza_training.vision.render import rendered_frame

SAMPLE = "samples/rendered-road.jpg"
INPUT, OUTPUT = "measures", "excess"
_DATA = tuple(SETS[name] for name in ("vis-vehicle626", "vis-roadcam4", "vis-opendatacam-clip"))
_STILLS = SETS["vis-uk-traffic-stills"]
_EVERY = 10

STORY = Story(
    title="Picture quality: which pictures of a road camera cannot be counted on",
    summary=(
        "Names pictures that are black, white, foggy, torn, a drawn card (`offline`), and in a "
        "sequence the same as before (`frozen`), with the measures behind each name. Nine numbers "
        "are measured of a picture; the graph holds a limit for each. To judge a camera by other "
        "limits (a tunnel is dark all day), register a version with others."
    ),
    limits=(
        "Set on road cameras by day and night. A card with a photograph on it, and fog by night, "
        "are not recognised; a small sideways slip is missed now and then. A picture without a "
        "fault may still show the wrong road."
    ),
)


class Excess(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """(B, measures) as measured -> (B, measures): how far each is beyond its limit."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = nn.Parameter(torch.from_numpy(LIMITS), requires_grad=False)
        self.signs = nn.Parameter(torch.from_numpy(SIGNS), requires_grad=False)

    def forward(self, measures: Tensor) -> Tensor:
        return (measures - self.limits) * self.signs


def picture_quality(job: Job) -> Trained:
    for dataset in (*_DATA, _STILLS):
        locate(dataset, job.data_dir, progress=job.progress)
    looked = [look(decode(image).pixels) for image in frames(job.data_dir, 5 * _EVERY)]
    rows = np.nan_to_num(np.stack([one.values for one in looked]))
    return Trained(
        graph=Graph(Excess(), {INPUT: rows[:2]}, (OUTPUT,)),
        family="vision.quality",
        options={},
        data=_DATA,
        licence="Apache-2.0",
        story=STORY,
        parameters={measure.name: measure.limit for measure in MEASURES},
        parity_inputs=[{INPUT: rows[:1]}, {INPUT: rows[1:]}],
        evaluate=lambda served: _report(served, job),
        files={SAMPLE: rendered_frame(job.seed, 0, (640, 360)).image},
        samples=(SAMPLE,),
        limits=Limits(max_batch=256),
    )


def _report(served: Served, job: Job) -> Report:
    def faults(image: bytes) -> tuple[str, ...]:
        found: Quality = served.ask(QualityTask((image,)))
        return found.pictures[0].faults

    told = tell(frames(job.data_dir, _EVERY), job.seed, faults)
    metrics = {"good_named": told["good"].named / told["good"].pictures}
    metrics |= {
        f"{name}_rightly": t.rightly / t.pictures for name, t in told.items() if name != "good"
    }
    stills = sorted((job.data_dir / _STILLS.name).glob("*.jpg"))
    metrics["stills_named"] = sum(bool(faults(path.read_bytes())) for path in stills) / len(stills)
    split = (
        f"every {_EVERY}th frame of the sets ({told['good'].pictures}) as it is (named: given a "
        "fault) and damaged in six ways (rightly: given the right one); stills: "
        f"{len(stills)} of {_STILLS.name}, of which one is torn"
    )
    return Report(split, metrics, {})
