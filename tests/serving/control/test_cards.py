"""Cards over the admin API: read by whoever may call the model, corrected by its engineers."""

from __future__ import annotations

import pytest

from plaza_serving.control.shapes.cards import CardText
from tests.serving.control.conftest import bundle

CARD = """\
---
licence: MIT
split: all of it
metrics: {accuracy: 0.9, loss: {value: 1, split: half}}
---
# New
"""


@pytest.fixture
async def keys(world):
    keys = await world.organisation(
        "acme", engineer={"role": "engineer"}, reader={"role": "consumer"}
    )
    assert (await world.register(keys["engineer"], bundle(card="# Old\n"))).status_code == 200
    return keys


PATH = "/api/v1/models/doubler/versions/1/card"


async def test_a_card_is_corrected_and_its_facts_are_read(world, keys):
    made = await world.ask(keys["engineer"], "PUT", PATH, json={"text": CARD})
    assert (made.status_code, made.json()["revision"]) == (200, 2)
    listed = (await world.ask(keys["reader"], "GET", PATH)).json()["items"]
    assert [card["text"] for card in listed] == [CARD, "# Old\n"]
    assert listed[0]["facts"] == {
        "licence": "MIT",
        "split": "all of it",
        "metrics": {
            "accuracy": {"value": 0.9, "split": "all of it"},
            "loss": {"value": 1.0, "split": "half"},
        },
    }
    assert listed[1]["facts"] == {}
    versions = (await world.ask(keys["reader"], "GET", "/api/v1/models/doubler/versions")).json()
    assert versions["items"][0]["card"] == CARD


async def test_a_typo_in_the_front_matter_is_told(world, keys):
    body = {"text": "---\nlicense: MIT\n---\n"}
    refused = await world.ask(keys["engineer"], "PUT", PATH, json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_bundle")
    assert refused.json()["input"] == "CARD.md: license"
    assert "did you mean 'licence'?" in refused.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [(PATH.replace("/1/", "/7/"), 404), (PATH.replace("/1/", "/0/"), 422), (PATH, 403)],
)
async def test_what_is_not_there_or_not_allowed(world, keys, path, status):
    key = keys["reader"] if status == 403 else keys["engineer"]
    assert (await world.ask(key, "PUT", path, json={"text": CARD})).status_code == status


def test_the_example_of_the_description_fits():
    (example,) = CardText.model_config["json_schema_extra"]["examples"]
    assert CardText(**example)
