"""Paths, schemas and examples of the endpoints for pictures, for `openapi.document`."""

from __future__ import annotations

from typing import Any

from plaza_models.vision.tasks import MOST_IMAGES
from plaza_serving.doors.openapi.parts import json_body, post
from plaza_serving.doors.openapi.schemas import (
    COUNT,
    NUMBERS,
    TEXT,
    Schema,
    example,
    list_,
    object_,
    task_request,
    task_response,
)
from plaza_serving.doors.vision import MAX_DETECTIONS, MAX_FPS
from plaza_serving.doors.vision_answers import COCO, DRAWN, GEOJSON

_SCORE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_BOX: Schema = {
    **NUMBERS,
    "minItems": 4,
    "maxItems": 4,
    "description": "x1, y1, x2, y2 in pixels of the picture as sent",
}
_FAULTS: Schema = {
    **list_(TEXT),
    "description": "Why the picture cannot be counted on: black, white, foggy, torn, frozen, "
    "offline, damaged, other-size. With one of these, nothing found does not mean an empty road",
}
_NUMBER_OR_NOT: Schema = {"type": ["number", "null"]}
_POINT: Schema = {**NUMBERS, "minItems": 2, "maxItems": 2, "description": "x, y in pixels"}
_PLACE: Schema = {
    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
}
_IMAGE: Schema = {"type": "string", "contentEncoding": "base64"}
_IMAGES: Schema = {
    **list_(_IMAGE),
    "minItems": 1,
    "maxItems": MOST_IMAGES,
    "description": "Of one camera, in order",
}
_PIXELS: Schema = {"schema": {"type": "string", "format": "binary"}}
_TAKEN: Schema = {f"image/{kind}": _PIXELS for kind in ("jpeg", "png", "webp")} | {
    "application/octet-stream": _PIXELS
}
_FREE: Schema = {"type": "object", "additionalProperties": True}

SCHEMAS: dict[str, Schema] = {
    "DetectRequest": task_request(
        {"image": _IMAGE},
        {
            "threshold": _SCORE,
            "max_detections": {"type": "integer", "minimum": 1, "maximum": MAX_DETECTIONS},
            **_PLACE,
        },
    ),
    "DetectResponse": task_response(
        {
            "width": COUNT,
            "height": COUNT,
            "faults": _FAULTS,
            "detections": list_(object_({"label": TEXT, "score": _SCORE, "box": _BOX})),
        }
    ),
    "CountRequest": task_request(
        {
            "images": _IMAGES,
            "fps": {"type": "number", "maximum": MAX_FPS, "description": "Pictures per second"},
        },
        {
            "lines": list_(object_({"name": TEXT, "start": _POINT, "end": _POINT})),
            "zones": list_(object_({"name": TEXT, "points": {**list_(_POINT), "minItems": 3}})),
            "metres_per_pixel": {"type": "number", "description": "Or `ground`: makes speeds"},
            "ground": {
                **list_({**NUMBERS, "minItems": 4, "maxItems": 4}),
                "description": "Four points of the road: x, y in pixels, east, north in metres",
            },
            "threshold": _SCORE,
            "state": {"type": "string", "description": "Of the answer to the pictures before"},
        },
    ),
    "CountResponse": task_response(
        {
            "width": COUNT,
            "height": COUNT,
            "usable": {**COUNT, "description": "Frames counted. With 0 nothing is known"},
            "frames": list_(
                object_(
                    {
                        "faults": _FAULTS,
                        "objects": list_(
                            object_({"id": COUNT, "label": TEXT, "score": _SCORE, "box": _BOX})
                        ),
                    }
                )
            ),
            "lines": list_(
                object_({"line": TEXT, "label": TEXT, "forward": COUNT, "backward": COUNT})
            ),
            "zones": list_(
                object_(
                    {
                        "zone": TEXT,
                        "label": TEXT,
                        "objects": COUNT,
                        "most": COUNT,
                        "seconds": {"type": "number"},
                    }
                )
            ),
            "tracks": list_(
                object_(
                    {
                        "id": COUNT,
                        "label": TEXT,
                        "first": COUNT,
                        "last": COUNT,
                        "speed_kmh": {"type": ["number", "null"]},
                    }
                )
            ),
            "state": TEXT,
        }
    ),
    "QualityRequest": task_request({"images": _IMAGES}),
    "QualityResponse": task_response(
        {
            "pictures": list_(
                object_(
                    {
                        "width": COUNT,
                        "height": COUNT,
                        "faults": _FAULTS,
                        "measures": list_(
                            object_(
                                {
                                    "name": TEXT,
                                    "value": _NUMBER_OR_NOT,
                                    "excess": {
                                        **_NUMBER_OR_NOT,
                                        "description": "How far beyond its limit; above 0 it "
                                        "speaks for the fault",
                                    },
                                    "fault": TEXT,
                                }
                            )
                        ),
                    }
                )
            ),
            "usable": {**COUNT, "description": "Pictures without a fault"},
        }
    ),
}

_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mOMqljAgA0wMeAAg1MCACT9AYI2UeHnAAAA"
    "AElFTkSuQmCC"
)
"""An 8 × 8 PNG of one colour."""


EXAMPLES: dict[str, Schema] = {
    "DetectRequest": {
        "base64": example(
            "A picture in base64", {"model": "detector", "image": _PICTURE, "threshold": 0.4}
        )
    },
    "CountRequest": {
        "line": example(
            "One picture, one line",
            {
                "model": "detector",
                "images": [_PICTURE],
                "fps": 12.5,
                "lines": [{"name": "northbound", "start": [0, 4], "end": [8, 4]}],
            },
        )
    },
    "QualityRequest": {"one": example("One picture", {"images": [_PICTURE]})},
}


def paths() -> dict[str, Any]:
    tag = "Tasks"
    count = post(
        "count",
        "Count objects over a sequence of pictures",
        json_body("CountRequest", EXAMPLES),
        "CountResponse",
        tag,
    )
    count["description"] = (
        "The answer is what `Accept` asks for: JSON, or the last usable picture with boxes, tracks "
        "and lines drawn on it. Without a usable picture it is JSON."
    )
    count["responses"]["200"]["content"] |= dict.fromkeys(DRAWN, _PIXELS)
    return {
        "/v1/vision/detect": {"post": _detect(tag)},
        "/v1/vision/count": {"post": count},
        "/v1/vision/quality": {"post": _quality(tag)},
    }


def _detect(tag: str) -> dict[str, Any]:
    detect = post(
        "detect",
        "Find objects in a picture",
        {**json_body("DetectRequest", EXAMPLES), **_TAKEN},
        "DetectResponse",
        tag,
    )
    detect["description"] = (
        "The body is the picture itself, with the fields in the query string, or JSON with the "
        "picture in base64. The answer is what `Accept` asks for: JSON, COCO, GeoJSON (with the "
        "camera's longitude and latitude), or the picture with what was found drawn on it."
    )
    free = {"schema": _FREE}
    detect["responses"]["200"]["content"] |= {COCO: free, GEOJSON: free}
    detect["responses"]["200"]["content"] |= dict.fromkeys(DRAWN, _PIXELS)
    detect["parameters"] += _in_query("DetectRequest", "threshold", "max_detections", *_PLACE)
    return detect


def _quality(tag: str) -> dict[str, Any]:
    quality = post(
        "quality",
        "Say what is wrong with pictures of a camera",
        {**json_body("QualityRequest", EXAMPLES), **_TAKEN},
        "QualityResponse",
        tag,
    )
    quality["description"] = (
        "The body is one picture itself, or JSON with pictures in base64. The answer is what "
        "`Accept` asks for: JSON, or the picture with its faults named on it; of several a sheet. "
        "What begins as a picture and cannot be decoded is `damaged`."
    )
    quality["responses"]["200"]["content"] |= dict.fromkeys(DRAWN, _PIXELS)
    quality["parameters"] += _in_query("QualityRequest")
    return quality


def _in_query(schema: str, *names: str) -> list[Schema]:
    """The fields of a request whose body is a picture."""
    fields = SCHEMAS[schema]["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "description": "For a picture as the body",
            "schema": fields[name],
        }
        for name in ("model", "version", *names, "timeout_us", "sticky")
    ]
