"""What was found in pictures, written down: our JSON, COCO's, GeoJSON, or the drawn picture.

COCO: the annotations of one image as its object-detection files have them (`bbox` is x, y, width,
height). GeoJSON (RFC 7946): one feature at the camera's place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any, Literal

from plaza_core.inference import Outcome
from plaza_models.tasks import Detections
from plaza_models.vision.tasks import Counted
from plaza_serving.doors.accept import JSON
from plaza_serving.doors.tensors_json import dumps
from plaza_serving.reply import Header, Reply

COCO, GEOJSON = "application/coco+json", "application/geo+json"
DRAWN: dict[str, Literal["JPEG", "PNG"]] = {"image/jpeg": "JPEG", "image/png": "PNG"}
FORMS = (JSON, COCO, GEOJSON, *DRAWN)
FORMS_OF_COUNTS = (JSON, *DRAWN)


def plain(found: Detections) -> dict[str, Any]:
    return {
        "width": found.width,
        "height": found.height,
        "faults": found.faults,
        "detections": [
            {"label": one.label, "score": one.score, "box": one.box} for one in found.detections
        ],
    }


def counted(found: Counted) -> dict[str, Any]:
    """Without the picture, and without copying it."""
    document = asdict(replace(found, picture=None))
    del document["picture"]
    return document


def picture(form: str, drawn: bytes, costs: tuple[Header, ...]) -> Reply:
    return Reply(200, form.encode(), drawn, costs)


def written(
    form: str, outcome: Outcome, place: tuple[float, float] | None, costs: tuple[Header, ...]
) -> Reply:
    """In any form but ours. A picture tells its faults in the header `x-plaza-faults`."""
    found: Detections = outcome.answer
    if form in DRAWN:
        faults = (b"x-plaza-faults", ",".join(found.faults).encode())
        return picture(form, found.picture or b"", (*costs, faults))
    document = coco(outcome) if form == COCO else geojson(outcome, place)
    return Reply(200, form.encode(), dumps(document), costs)


def coco(outcome: Outcome) -> dict[str, Any]:
    found: Detections = outcome.answer
    labels = sorted({one.label for one in found.detections})
    numbers = {label: number for number, label in enumerate(labels, 1)}
    return {
        "info": {"description": f"{outcome.model}, version {outcome.version}"},
        "images": [{"id": 1, "width": found.width, "height": found.height, "faults": found.faults}],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": numbers[one.label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                "score": one.score,
            }
            for number, one in enumerate(found.detections, 1)
            for x1, y1, x2, y2 in (one.box,)
        ],
    }


def geojson(outcome: Outcome, place: tuple[float, float] | None) -> dict[str, Any]:
    """Counts are null where the picture cannot be counted on."""
    found: Detections = outcome.answer
    counts = Counter(one.label for one in found.detections)
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": place},
                "properties": {
                    "counts": None if found.faults else dict(sorted(counts.items())),
                    **plain(found),
                    "model": outcome.model,
                    "version": outcome.version,
                },
            }
        ],
    }
