"""The endpoints for pictures: what was found in the form that Accept asks for; counts of a
sequence; faults that are never lost on the way."""

import base64
import dataclasses
import json

import pytest

from plaza_models import tasks
from plaza_models.tasks import CountTask, DetectTask
from plaza_serving.doors.accept import form_of
from plaza_serving.doors.vision_answers import FORMS

PNG = b"\x89PNG picture"
TEXT = base64.b64encode(PNG).decode()
DETECT = {"model": "detector", "image": TEXT}
COUNT = {"model": "detector", "images": [TEXT, TEXT], "fps": 12.5}


@pytest.fixture
def found(hub):
    """What the model says; tests may change it."""
    answers = {
        "detect": tasks.Detections(8, 6, (tasks.Detection("car", 0.75, (1.0, 2.0, 3.0, 4.5)),)),
        "count": tasks.Counted(
            8,
            6,
            (
                tasks.CountedFrame(
                    (), (tasks.TrackedObject(1, "car", 0.75, (1.0, 2.0, 3.0, 4.5)),)
                ),
                tasks.CountedFrame(("black",), ()),
            ),
            (tasks.Crossings("a", "car", 1, 0),),
            (tasks.Stay("z", "car", 1, 1, 0.08),),
            (tasks.Tracked(1, "car", 0, 0, 36.0),),
            1,
            "{}",
        ),
    }

    def work(task):
        return answers["count" if isinstance(task, CountTask) else "detect"]

    signature = {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": ["batch", 3, 8, 8]}],
        "outputs": [{"name": "boxes", "datatype": "FP32", "shape": ["batch", 4, 4]}],
    }
    hub.add("detector", {"family": "vision.detect", "signature": signature}, work)
    return answers


# ── forms ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (b"", "application/json"),
        (b"*/*", "application/json"),
        (b"text/html", "application/json"),
        (b"image/png", "image/png"),
        (b"image/*", "image/jpeg"),
        (b"application/geo+json, application/json;q=0.5", "application/geo+json"),
        (b"application/json;q=0.5, application/coco+json", "application/coco+json"),
        (b"image/png;q=0, */*;q=0.1", "application/json"),
        (b"IMAGE/JPEG", "image/jpeg"),
        (b"image/png;q=x", "application/json"),
    ],
)
def test_the_form_is_the_one_wanted_most(accept, form):
    assert form_of(accept, FORMS) == form


async def test_coco(client, found):
    answer = await client.post(
        "/v1/vision/detect", DETECT, headers={"accept": "application/coco+json"}
    )
    assert answer.headers["content-type"] == "application/coco+json"
    document = answer.json()
    assert document["categories"] == [{"id": 1, "name": "car"}]
    (annotation,) = document["annotations"]
    assert annotation["bbox"] == [1.0, 2.0, 2.0, 2.5]
    assert annotation["area"] == 5.0
    assert annotation["image_id"] == document["images"][0]["id"]
    assert answer.headers["x-plaza-charge"] == "14"


async def test_geojson_stands_where_the_camera_is(client, found):
    body = {**DETECT, "longitude": 8.68, "latitude": 50.11}
    wanted = {"accept": "application/geo+json"}
    (feature,) = (await client.post("/v1/vision/detect", body, headers=wanted)).json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [8.68, 50.11]}
    assert feature["properties"]["counts"] == {"car": 1}
    refused = await client.post("/v1/vision/detect", DETECT, headers=wanted)
    assert refused.problem() == (422, "invalid_input", "longitude")
    half = await client.post("/v1/vision/detect", {**DETECT, "longitude": 8})
    assert half.problem() == (422, "invalid_input", "latitude")


async def test_a_bad_picture_counts_as_nothing_known(client, found):
    found["detect"] = tasks.Detections(8, 6, (), ("black",))
    body = {**DETECT, "longitude": 8.68, "latitude": 50.11}
    document = (await client.post("/v1/vision/detect", body)).json()
    assert (document["faults"], document["detections"]) == (["black"], [])
    answer = await client.post(
        "/v1/vision/detect", body, headers={"accept": "application/geo+json"}
    )
    properties = answer.json()["features"][0]["properties"]
    assert (properties["counts"], properties["faults"]) == (None, ["black"])


async def test_the_drawn_picture(client, hub, found):
    found["detect"] = tasks.Detections(8, 6, (), ("torn",), b"\x89PNG drawn")
    answer = await client.post("/v1/vision/detect", DETECT, headers={"accept": "image/png"})
    assert hub.calls[-1].task == DetectTask(PNG, draw="PNG")
    assert (answer.headers["content-type"], answer.body) == ("image/png", b"\x89PNG drawn")
    assert answer.headers["x-plaza-faults"] == "torn"


# ── counting ─────────────────────────────────────────────────────────────────────────────────────
async def test_a_sequence_is_counted(client, hub, found):
    body = {
        **COUNT,
        "lines": [{"name": "a", "start": [0, 1], "end": [8, 1]}],
        "zones": [{"name": "z", "points": [[0, 0], [8, 0], [8, 6]]}],
        "ground": [[0, 0, 0, 0], [8, 0, 1, 0], [8, 6, 1, 1], [0, 6, 0, 1]],
        "threshold": 0.5,
        "state": "{}",
    }
    answer = await client.post("/v1/vision/count", body)
    assert answer.status == 200, answer.body
    task = hub.calls[-1].task
    assert task.images == (PNG, PNG)
    assert task.fps == 12.5
    assert task.lines == (tasks.Line("a", (0.0, 1.0), (8.0, 1.0)),)
    assert task.zones == (tasks.Zone("z", ((0.0, 0.0), (8.0, 0.0), (8.0, 6.0))),)
    assert task.ground[1] == (8.0, 0.0, 1.0, 0.0)
    assert (task.threshold, task.state) == (0.5, "{}")
    document = json.loads(answer.body)
    assert document["lines"] == [{"line": "a", "label": "car", "forward": 1, "backward": 0}]
    assert document["frames"][1] == {"faults": ["black"], "objects": []}
    assert document["usable"] == 1


async def test_counts_may_be_drawn(client, hub, found):
    found["count"] = dataclasses.replace(found["count"], picture=b"\xff\xd8 drawn")
    answer = await client.post("/v1/vision/count", COUNT, headers={"accept": "image/jpeg"})
    assert hub.calls[-1].task.draw == "JPEG"
    assert (answer.headers["content-type"], answer.body) == ("image/jpeg", b"\xff\xd8 drawn")
    found["count"] = dataclasses.replace(found["count"], picture=None)
    answer = await client.post("/v1/vision/count", COUNT, headers={"accept": "image/jpeg"})
    assert answer.json()["usable"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"images": []}, "images"),
        ({"images": ["%"]}, "images"),
        ({"images": TEXT}, "images"),
        ({"fps": None}, "fps"),
        ({"fps": "25"}, "fps"),
        ({"lines": {}}, None),
        ({"lines": 5}, "lines"),
        ({"lines": [{"name": "a", "start": [0, 0]}]}, "lines"),
        ({"lines": [{"name": "a", "start": [0, 0], "end": [1, None]}]}, "lines"),
        ({"zones": [{"name": "z", "points": [[0, 0, 0]]}]}, "zones"),
        ({"zones": [{"name": 1, "points": [[0, 0]]}]}, "zones"),
        ({"ground": [[0, 0, 0]]}, "ground"),
        ({"metres_per_pixel": "1"}, "metres_per_pixel"),
        ({"state": 5}, "state"),
        ({"speed": 5}, "speed"),
    ],
)
async def test_a_wrong_field_is_named(client, found, change, field):
    answer = await client.post("/v1/vision/count", {**COUNT, **change})
    if field is None:
        assert answer.status == 200
    else:
        assert answer.problem() == (422, "invalid_input", field)
