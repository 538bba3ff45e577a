"""What is asked of a sequence of pictures, and what is answered. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MOST_IMAGES = 64
"""In one request: each becomes a row of the input, and all are in memory at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """Counted are objects whose foot (the middle of a box's lower edge) goes across."""

    name: str
    start: tuple[float, float]
    """x, y in pixels of the picture."""
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Zone:
    """Counted are objects whose foot is inside."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Corners of the polygon, three or more, in pixels."""


@dataclass(frozen=True, slots=True)
class CountTask:
    """Consecutive pictures of one fixed camera."""

    images: tuple[bytes, ...]
    fps: float
    """Pictures per second."""
    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    metres_per_pixel: float | None = None
    """One scale for the whole picture, for a camera that looks straight down."""
    ground: tuple[tuple[float, float, float, float], ...] = ()
    """Four points of the road, no three in a row: x, y in pixels and east, north in metres."""
    threshold: float | None = None
    """Score from which a detection begins a track; None takes the manifest's."""
    state: str | None = None
    """`Counted.state` of the pictures just before these."""
    draw: Literal["JPEG", "PNG"] | None = None
    """Whether, and how encoded, the last usable picture is wanted with tracks drawn on it."""


@dataclass(frozen=True, slots=True)
class TrackedObject:
    id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    """As detected: x1, y1, x2, y2 in pixels."""


@dataclass(frozen=True, slots=True)
class CountedFrame:
    faults: tuple[str, ...]
    """Why the picture was not counted; empty for one that was."""
    objects: tuple[TrackedObject, ...]


@dataclass(frozen=True, slots=True)
class Crossings:
    line: str
    label: str
    forward: int
    """From the left of the line to its right, seen from its start to its end."""
    backward: int


@dataclass(frozen=True, slots=True)
class Stay:
    zone: str
    label: str
    objects: int
    """Different ones that were inside."""
    most: int
    """At one time."""
    seconds: float
    """Time inside, all objects together."""


@dataclass(frozen=True, slots=True)
class Tracked:
    id: int
    label: str
    first: int
    """Frame of this sequence in which it was seen first, from 0."""
    last: int
    speed_kmh: float | None
    """Its usual one; None without a scale, or when it was seen too briefly."""


@dataclass(frozen=True, slots=True)
class Counted:
    width: int
    height: int
    frames: tuple[CountedFrame, ...]
    lines: tuple[Crossings, ...]
    zones: tuple[Stay, ...]
    tracks: tuple[Tracked, ...]
    usable: int
    """Frames that were counted. With 0 nothing is known: that is not an empty road."""
    state: str
    """For the pictures that follow, so that what crosses between two requests is counted once."""
    picture: bytes | None = None
    """As asked for by `draw`; None too when no picture is usable."""


@dataclass(frozen=True, slots=True)
class QualityTask:
    """Pictures of one fixed camera, in order; or one."""

    images: tuple[bytes, ...]
    draw: Literal["JPEG", "PNG"] | None = None
    """Whether, and how encoded, a picture is wanted with the faults named on it; of several a sheet
    of small ones."""


@dataclass(frozen=True, slots=True)
class MeasuredValue:
    name: str
    value: float | None
    """None: not measured, for nothing comparable came before."""
    excess: float | None
    """How far it is beyond its limit; above 0 it speaks for the fault."""
    fault: str


@dataclass(frozen=True, slots=True)
class PictureQuality:
    width: int
    """0 where not even the size can be read."""
    height: int
    faults: tuple[str, ...]
    measures: tuple[MeasuredValue, ...]
    """Empty for a picture that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Quality:
    pictures: tuple[PictureQuality, ...]
    usable: int
    """Those without a fault."""
    picture: bytes | None = None
    """As asked for by `draw`."""
