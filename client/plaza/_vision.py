"""Counting over a sequence of pictures, and what is wrong with pictures: the calls, and their
answers as frozen values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plaza._http import Answer, Call
from plaza._inference import Version, _cost, _origin, _task
from plaza.answers import Cost, Timing

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows are as the hub sends them; see its documentation of `/v1/vision/count`."""

    model: str
    version: int
    timing: Timing
    width: int
    height: int
    usable: int
    """Pictures that were counted; with 0 nothing is known."""
    frames: tuple[Mapping[str, Any], ...] = field(repr=False)
    lines: tuple[Mapping[str, Any], ...]
    zones: tuple[Mapping[str, Any], ...]
    tracks: tuple[Mapping[str, Any], ...] = field(repr=False)
    state: str = field(repr=False)
    """For the call with the pictures that follow."""
    cost: Cost


@dataclass(frozen=True, slots=True)
class Quality:
    """Rows are as the hub sends them; see its documentation of `/v1/vision/quality`."""

    model: str
    version: int
    timing: Timing
    pictures: tuple[Mapping[str, Any], ...]
    """Of each its `faults` and the `measures` behind them."""
    usable: int
    """Pictures without a fault."""
    cost: Cost


def count(
    images: Sequence[bytes],
    fps: float,
    *,
    model: str | None = None,
    version: Version = None,
    lines: Mapping[str, tuple[Point, Point]] | None = None,
    zones: Mapping[str, Sequence[Point]] | None = None,
    metres_per_pixel: float | None = None,
    ground: Sequence[tuple[float, float, float, float]] = (),
    threshold: float | None = None,
    state: str | None = None,
) -> Call[Counts]:
    """Count objects over consecutive pictures of one camera, given as files' bytes."""

    def read(answer: Answer) -> Counts:
        found = answer.json()
        return Counts(
            *_origin(found),
            width=found["width"],
            height=found["height"],
            usable=found["usable"],
            frames=tuple(found["frames"]),
            lines=tuple(found["lines"]),
            zones=tuple(found["zones"]),
            tracks=tuple(found["tracks"]),
            state=found["state"],
            cost=_cost(answer),
        )

    return _task(
        "/v1/vision/count",
        read,
        model=model,
        version=version,
        images=_in_base64(images),
        fps=fps,
        lines=[
            {"name": name, "start": list(start), "end": list(end)}
            for name, (start, end) in (lines or {}).items()
        ],
        zones=[
            {"name": name, "points": [list(point) for point in points]}
            for name, points in (zones or {}).items()
        ],
        metres_per_pixel=metres_per_pixel,
        ground=[list(point) for point in ground],
        threshold=threshold,
        state=state,
    )


def quality(
    images: Sequence[bytes], *, model: str | None = None, version: Version = None
) -> Call[Quality]:
    """What is wrong with pictures of one camera, in order, given as files' bytes."""

    def read(answer: Answer) -> Quality:
        found = answer.json()
        pictures = tuple(found["pictures"])
        return Quality(*_origin(found), pictures, found["usable"], _cost(answer))

    return _task(
        "/v1/vision/quality", read, model=model, version=version, images=_in_base64(images)
    )


def _in_base64(images: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(image).decode("ascii") for image in images]
