"""Counting over a sequence: pictures to rows of the input, outputs to tracks and counts.

A picture that cannot be counted on never reaches the model; it is named in the answer, and time
passes for the tracks as if nobody had looked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.tasks import Detection
from plaza_models.vision import ground, state
from plaza_models.vision.count import Counts, foot
from plaza_models.vision.draw_tracks import draw_tracks
from plaza_models.vision.fit import Fit
from plaza_models.vision.image import decode
from plaza_models.vision.preprocess import Preprocessor
from plaza_models.vision.quality import Fault, Look, look
from plaza_models.vision.tasks import (
    MOST_IMAGES,
    Counted,
    CountedFrame,
    CountTask,
    Line,
    Tracked,
    TrackedObject,
    Zone,
)
from plaza_models.vision.track import Seen, Track, Tracker, TrackOptions
from plaza_models.vision.typeface import Typeface

_MOST_SHAPES = 50
_MOST_CORNERS = 100

Select = Callable[[Mapping[str, Array], Fit, float], tuple[Detection, ...]]
"""Outputs of one row, where the picture lies in the input, lowest score -> detections."""


@dataclass(frozen=True, slots=True)
class Counting:
    """From `prepare` to `interpret`."""

    task: CountTask
    plane: ground.Plane | None
    tracker: Tracker
    faults: tuple[tuple[Fault, ...], ...]
    fit: Fit | None
    """The same for all usable pictures; None when there is none."""
    sure: float


def prepare(
    task: CountTask, preprocessor: Preprocessor, sure: float, *, batched: bool, max_pixels: int
) -> Prepared:
    """One row per usable picture. Raises InvalidInput."""
    _check(task, batched=batched)
    tracker = Tracker(TrackOptions(sure=sure, unsure=min(0.1, sure)))
    if task.state is not None:
        state.read(task.state, tracker)
    rows: list[Array] = []
    faults: list[tuple[Fault, ...]] = []
    fit: Fit | None = None
    before: Look | None = None
    for image in task.images:
        try:
            picture = decode(image, max_pixels=max_pixels, enough=preprocessor.enough)
        except InvalidInput:
            faults.append(("damaged",))
            continue
        before = look(picture.pixels, before)
        found = before.faults
        if fit is not None and (picture.width, picture.height) != (fit.width, fit.height):
            found = (*found, "other-size")
        if not found:
            tensor, fit = preprocessor(picture)
            rows.append(tensor)
        faults.append(found)
    # A run needs a row; without a usable picture its answer is not looked at.
    empty = np.zeros((1, *_row_shape(preprocessor)), preprocessor.dtype)
    tensors = {preprocessor.name: np.concatenate(rows) if rows else empty}
    plane = ground.plane(task.metres_per_pixel, task.ground)
    context = Counting(task, plane, tracker, tuple(faults), fit, sure)
    return Prepared(tensors, rows=max(1, len(rows)), context=context)


def interpret(
    outputs: Mapping[str, Array],
    counting: Counting,
    select: Select,
    *,
    max_pixels: int,
    typeface: Typeface,
) -> Counted:
    task, tracker, fit = counting.task, counting.tracker, counting.fit
    counts = Counts(task.lines, task.zones)
    paths: dict[int, _Path] = {}
    frames: list[CountedFrame] = []
    row, step = 0, 1 / task.fps
    for number, faults in enumerate(counting.faults):
        seconds = number * step
        if faults or fit is None:
            tracker.skip(seconds)
            frames.append(CountedFrame(faults, ()))
            continue
        mine = {name: rows[row : row + 1] for name, rows in outputs.items()}
        row += 1
        detections = select(mine, fit, min(0.1, counting.sure))
        pairs = tracker.update(seconds, _seen(detections))
        counts.frame([(track, tracker.confirmed(track)) for track, _ in pairs], step)
        for track, _ in pairs:
            paths.setdefault(track.id, _Path(track, [], [])).add(number)
        frames.append(_frame(pairs, detections))
    found = Counted(
        width=0 if fit is None else fit.width,
        height=0 if fit is None else fit.height,
        frames=tuple(frames),
        lines=counts.crossings(),
        zones=counts.stays(),
        tracks=tuple(
            path.summary(step, counting.plane)
            for path in paths.values()
            if tracker.confirmed(path.track)
        ),
        usable=row,
        state=state.write(tracker, len(frames) * step),
    )
    if task.draw is None:
        return found
    return replace(found, picture=_drawn(task, found, max_pixels, typeface))


def _drawn(task: CountTask, found: Counted, max_pixels: int, typeface: Typeface) -> bytes | None:
    usable = [number for number, frame in enumerate(found.frames) if not frame.faults]
    if not usable:
        return None
    last = usable[-1]
    image = task.images[last]
    return draw_tracks(image, found, last, task, max_pixels=max_pixels, typeface=typeface)


@dataclass(frozen=True, slots=True)
class _Path:
    track: Track
    frames: list[int]
    feet: list[tuple[float, float]]

    def add(self, number: int) -> None:
        self.frames.append(number)
        self.feet.append(foot(self.track.box))

    def summary(self, step: float, plane: ground.Plane | None) -> Tracked:
        speed = None
        if plane is not None:
            times = [number * step for number in self.frames]
            speed = ground.speed_kmh(plane, times, np.array(self.feet))
        return Tracked(self.track.id, self.track.label, self.frames[0], self.frames[-1], speed)


def _frame(pairs: list[tuple[Track, int]], detections: tuple[Detection, ...]) -> CountedFrame:
    objects = [
        TrackedObject(t.id, t.label, detections[index].score, detections[index].box)
        for t, index in sorted(pairs, key=lambda pair: pair[0].id)
    ]
    return CountedFrame((), tuple(objects))


def _seen(detections: tuple[Detection, ...]) -> Seen:
    return Seen(
        np.array([d.box for d in detections], np.float32).reshape(-1, 4),
        np.array([d.score for d in detections], np.float32),
        tuple(d.label for d in detections),
    )


def _row_shape(preprocessor: Preprocessor) -> tuple[int, ...]:
    width, height = preprocessor.size
    return (3, height, width) if preprocessor.layout == "nchw" else (height, width, 3)


def _check(task: CountTask, *, batched: bool) -> None:
    if not 1 <= len(task.images) <= MOST_IMAGES:
        raise InvalidInput(f"send 1 to {MOST_IMAGES} pictures", input="images")
    if len(task.images) > 1 and not batched:
        raise InvalidInput(
            "this model takes one picture per run: send them one by one with `state`",
            input="images",
        )
    if not 0.05 <= task.fps <= 1000:
        raise InvalidInput("pictures per second lie between 0.05 and 1000", input="fps")
    for name, shapes in (("lines", task.lines), ("zones", task.zones)):
        if len(shapes) > _MOST_SHAPES or len({each.name for each in shapes}) < len(shapes):
            raise InvalidInput(f"at most {_MOST_SHAPES} {name}, each with its own name", input=name)
    for line in task.lines:
        _check_line(line)
    for zone in task.zones:
        _check_zone(zone)


def _check_line(line: Line) -> None:
    if not line.name or len(line.name) > 100 or not _finite(line.start, line.end):
        raise InvalidInput("a line has a name, a start and an end", input="lines")
    if math.dist(line.start, line.end) < 1:
        raise InvalidInput(f"line '{line.name}' is shorter than a pixel", input="lines")


def _check_zone(zone: Zone) -> None:
    if not zone.name or len(zone.name) > 100 or not _finite(*zone.points):
        raise InvalidInput("a zone has a name and corners", input="zones")
    if not 3 <= len(zone.points) <= _MOST_CORNERS:
        raise InvalidInput(f"zone '{zone.name}' has 3 to {_MOST_CORNERS} corners", input="zones")


def _finite(*points: tuple[float, float]) -> bool:
    return all(math.isfinite(x) and math.isfinite(y) and abs(x) + abs(y) < 1e9 for x, y in points)
