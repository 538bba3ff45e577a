"""Loading at a replica's door, with real control behind it: rights, audit and words are control's.

door ──▶ control: stage, with the caller's key ──▶ open here; every other replica by the table
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.serving.whole import ROWS, whole_hub

INDEX = "/v2/repository/index"
CONTROLS = "/api/v1/models/doubler/versions/2/stage"


def path(verb, name="doubler", version=2):
    return f"/v2/repository/models/{name}/versions/{version}/{verb}"


@pytest.fixture
async def hub(tmp_path):
    async with whole_hub(tmp_path) as opened:
        yield opened


@pytest.fixture
async def engineer(hub):
    """The key of an engineer of acme, whose model `doubler` has two versions."""
    key = await hub.new_key(role="engineer")
    for _ in range(2):
        await hub.register(key)
    await until(hub, key, lambda states: {v for _, v in states} == {"1", "2"})
    return key


async def index(hub, key):
    answer = await hub.ask("POST", INDEX, key=key)
    return {(one["name"], one["version"]): one["state"] for one in answer.json()}


async def until(hub, key, holds):
    async with asyncio.timeout(60):
        while (await hub.ask("GET", "/v2", key=key)).status != 200:
            await asyncio.sleep(0.01)
        while not holds(await index(hub, key)):
            await asyncio.sleep(0.01)


async def state_at_control(hub, key):
    newest, *_ = (await hub.made("GET", "/api/v1/models/doubler/versions", key=key))["items"]
    assert newest["version"] == 2
    return newest["state"]


async def audited(hub):
    found = await hub.made("GET", "/api/v1/audit?organisation=*")
    return [(one["action"], one["actor"]) for one in found["items"] if "stage" in one["action"]]


async def test_a_loaded_version_is_open_and_stays_so_until_unloaded(hub, engineer):
    assert (await index(hub, engineer))["doubler", "2"] == "UNAVAILABLE"
    answer = await hub.ask("POST", path("load"), key=engineer)
    assert answer.status == 200, answer.json()
    assert answer.json() == {"name": "doubler", "version": "2"}
    assert (await index(hub, engineer))["doubler", "2"] == "READY"
    body = json.dumps(ROWS).encode()
    inferred = await hub.ask("POST", "/v2/models/doubler/versions/2/infer", body, key=engineer)
    assert inferred.json()["model_version"] == "2"
    assert await state_at_control(hub, engineer) == "staged"
    assert (await hub.ask("POST", path("unload"), key=engineer)).status == 200
    assert await state_at_control(hub, engineer) == "examined"
    actor = engineer.split("_")[1]
    assert await audited(hub) == [("model.unstage", actor), ("model.stage", actor)]


async def test_who_may_not_is_refused_and_nothing_is_changed(hub, engineer):
    consumer = await hub.new_key()
    await hub.until(200, consumer)
    await hub.made("POST", "/api/v1/organisations", {"name": "globex"})
    place = "/api/v1/organisations/globex/keys"
    stranger = (await hub.made("POST", place, {"role": "engineer"}, quiet=True))["key"]
    await hub.until(200, stranger)
    for verb in ("load", "unload"):
        refused = await hub.ask("POST", path(verb), key=consumer)
        assert refused.problem()[:2] == (403, "forbidden")
        for name in ("doubler", "acme.main.doubler", "no-such-model"):
            refused = await hub.ask("POST", path(verb, name), key=stranger)
            assert refused.problem() == (404, "model_not_found", "model")
    assert await index(hub, stranger) == {}
    assert await audited(hub) == []


async def test_a_public_model_is_callable_by_others_and_loaded_by_its_own_alone(hub, engineer):
    found = await hub.control(
        "PUT",
        "/api/v1/models/acme.main.doubler/visibility?organisation=acme",
        {"visibility": "public"},
    )
    assert found[0] == 200, found
    await hub.made("POST", "/api/v1/organisations", {"name": "globex"})
    place = "/api/v1/organisations/globex/keys"
    stranger = (await hub.made("POST", place, {"role": "engineer"}, quiet=True))["key"]
    await until(hub, stranger, lambda states: ("doubler", "2") in states)
    refused = await hub.ask("POST", path("load"), key=stranger)
    assert refused.problem() == (404, "model_not_found", "model")
    assert (await index(hub, stranger))["doubler", "2"] == "UNAVAILABLE"


async def test_what_serves_may_be_unloaded_and_serves_on(hub, engineer):
    assert (await hub.ask("POST", path("unload", version=1), key=engineer)).status == 200
    body = json.dumps(ROWS).encode()
    assert (await hub.ask("POST", "/v2/models/doubler/infer", body, key=engineer)).status == 200
    assert (await index(hub, engineer))["doubler", "1"] == "READY"


async def test_the_words_of_control_reach_the_caller(hub, engineer):
    following, *_ = hub.replica._tasks
    following.cancel()  # it hears nothing any more: control alone knows that version 2 is retired
    await hub.made("POST", "/api/v1/models/doubler/versions/2/retire", key=engineer)
    status, said = await hub.control("POST", CONTROLS, key=engineer)
    refused = await hub.ask("POST", path("load"), key=engineer)
    assert (
        refused.problem() == (409, "conflict", "version") == (status, said["code"], said["input"])
    )
    assert refused.json()["error"] == said["error"]
    assert (await index(hub, engineer))["doubler", "2"] == "UNAVAILABLE"
