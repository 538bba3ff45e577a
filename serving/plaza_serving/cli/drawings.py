"""What the SDK answered, drawn on the pictures that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer

import plaza


def detections(picture: bytes, found: plaza.Detections, suffix: str) -> bytes:
    from plaza_models.tasks import Detection, Detections
    from plaza_models.vision.draw import draw

    boxes = tuple(Detection(one.label, one.score, one.box) for one in found.detections)
    answer = Detections(found.width, found.height, boxes, found.faults)
    return draw(picture, answer, format=_format(suffix))


def quality(pictures: list[bytes], found: plaza.Quality, suffix: str) -> bytes:
    from plaza_models.vision.draw_quality import draw_quality
    from plaza_models.vision.tasks import MeasuredValue, PictureQuality, Quality

    judged = tuple(
        PictureQuality(
            one["width"],
            one["height"],
            tuple(one["faults"]),
            tuple(MeasuredValue(**measure) for measure in one["measures"]),
        )
        for one in found.pictures
    )
    answer = Quality(judged, found.usable)
    return draw_quality(tuple(pictures), answer, format=_format(suffix))


def reasons(picture: Mapping[str, Any]) -> str:
    """The measures that made its faults."""
    return ", ".join(
        f"{measure['name']} {measure['value']:.3g}"
        for measure in picture["measures"]
        if measure["fault"] in picture["faults"] and (measure["excess"] or 0) > 0
    )


_FORMATS: Mapping[str, Literal["JPEG", "PNG"]] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def kind(path: Path | None) -> Path | None:
    """Of an option: a name that says how to draw. Raises BadParameter."""
    if path is not None and path.suffix.lower() not in _FORMATS:
        raise typer.BadParameter("its name must end in .png or .jpg")
    return path


def _format(suffix: str) -> Literal["JPEG", "PNG"]:
    return _FORMATS[suffix.lower()]
