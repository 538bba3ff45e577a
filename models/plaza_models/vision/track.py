"""Tracking by detection: which box of this frame is the object that was there before.

Sure detections are matched first, to tracks seen lately and to lost ones; what is left of the
tracks seen lately is then matched to unsure detections, so that an object half hidden keeps its
number. Only sure detections begin a track, and a track counts once it was seen twice.
Source: Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box (2022).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plaza_models.vision import motion
from plaza_models.vision.assign import assign
from plaza_models.vision.fit import Boxes
from plaza_models.vision.nms import iou

_WIDER = 0.25
"""Boxes are enlarged by this part of their size on each side before they are compared: what moves
fast, or is small, overlaps itself little from frame to frame."""


@dataclass(frozen=True, slots=True)
class TrackOptions:
    sure: float = 0.5
    """Score from which a detection begins a track."""
    unsure: float = 0.1
    """Score from which a detection continues one."""
    overlap: float = 0.2
    """Least overlap of a sure detection with a track's predicted box, both enlarged."""
    overlap_unsure: float = 0.4
    lost_seconds: float = 1.0
    """How long a track is kept that nobody sees."""
    hits: int = 2


@dataclass(slots=True)
class Track:
    """One object. Changes from frame to frame; outside `Tracker` it is only read."""

    id: int
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    seen: float
    """When it was seen last, in seconds."""
    hits: int = 1
    votes: dict[str, float] = field(default_factory=dict)
    """Sum of scores for each label that it was given."""
    sides: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    """For each line: on which side it was surely last, and where."""
    crossed: set[str] = field(default_factory=set)
    """What it was counted for already."""

    @property
    def label(self) -> str:
        return max(self.votes, key=lambda label: (self.votes[label], label))

    @property
    def box(self) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = motion.boxes_of(self.mean[None])[0].tolist()
        return x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class Seen:
    """The detections of one frame."""

    boxes: Boxes
    scores: NDArray[np.float32]
    labels: tuple[str, ...]


class Tracker:
    def __init__(self, options: TrackOptions) -> None:
        self._options = options
        self.tracks: list[Track] = []
        self.next_id = 1
        self.now = 0.0
        """Until when tracks were moved."""
        self.lately = 0.0
        """When the last usable frame was."""

    def update(self, seconds: float, seen: Seen) -> list[tuple[Track, int]]:
        """Take a frame; the tracks that were seen, with the index of their detection. `seconds`
        counts from any moment and grows from call to call."""
        self.skip(seconds)
        options = self._options
        sure = np.flatnonzero(seen.scores >= options.sure)
        unsure = np.flatnonzero((seen.scores >= options.unsure) & (seen.scores < options.sure))
        pairs = self._match(self.tracks, seen.boxes, sure, options.overlap)
        matched = {id(track) for track, _ in pairs}
        # What was not there in the frame before has no claim on an unsure detection.
        left = [t for t in self.tracks if id(t) not in matched and t.seen >= self.lately]
        pairs += self._match(left, seen.boxes, unsure, options.overlap_unsure)
        for track, index in pairs:
            self._see(track, seconds, seen, index)
        taken = {index for _, index in pairs}
        fresh = [int(index) for index in sure if int(index) not in taken]
        pairs += [(self._begin(seconds, seen, index), index) for index in fresh]
        self.tracks = [t for t in self.tracks if self._keep(t, seconds)]
        self.lately = seconds
        return pairs

    def skip(self, seconds: float) -> None:
        """Let time pass, as for a frame that shows nothing usable."""
        elapsed, self.now = seconds - self.now, seconds
        if self.tracks and elapsed > 0:
            means, spreads = motion.predict(*self._stacked(self.tracks), elapsed)
            for track, mean, spread in zip(self.tracks, means, spreads, strict=True):
                track.mean, track.spread = mean, spread

    def confirmed(self, track: Track) -> bool:
        return track.hits >= self._options.hits

    def _keep(self, track: Track, seconds: float) -> bool:
        if not self.confirmed(track):
            return track.seen == seconds
        return seconds - track.seen <= self._options.lost_seconds

    def _match(
        self, tracks: list[Track], boxes: Boxes, chosen: NDArray[np.intp], overlap: float
    ) -> list[tuple[Track, int]]:
        if not tracks or not len(chosen):
            return []
        expected = motion.boxes_of(np.stack([track.mean for track in tracks]))
        costs = 1.0 - iou(_wider(expected), _wider(boxes[chosen])).astype(np.float64)
        return [(tracks[row], int(chosen[column])) for row, column in assign(costs, 1.0 - overlap)]

    def _see(self, track: Track, seconds: float, seen: Seen, index: int) -> None:
        means, spreads = motion.correct(*self._stacked([track]), seen.boxes[index : index + 1])
        track.mean, track.spread = means[0], spreads[0]
        track.seen, track.hits = seconds, track.hits + 1
        label, score = seen.labels[index], float(seen.scores[index])
        track.votes[label] = track.votes.get(label, 0.0) + score

    def _begin(self, seconds: float, seen: Seen, index: int) -> Track:
        means, spreads = motion.begin(seen.boxes[index : index + 1])
        votes = {seen.labels[index]: float(seen.scores[index])}
        track = Track(self.next_id, means[0], spreads[0], seconds, votes=votes)
        self.next_id += 1
        self.tracks.append(track)
        return track

    @staticmethod
    def _stacked(tracks: list[Track]) -> tuple[motion.Means, motion.Spreads]:
        return np.stack([t.mean for t in tracks]), np.stack([t.spread for t in tracks])


def _wider(boxes: Boxes) -> Boxes:
    margin = (boxes[:, 2:] - boxes[:, :2]) * np.float32(_WIDER)
    return np.concatenate((boxes[:, :2] - margin, boxes[:, 2:] + margin), 1)
