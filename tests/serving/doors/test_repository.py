"""The model repository extension at the door: shapes, parameters, what is passed on."""

import pytest

from plaza_core.errors import DoesNotFit, ModelLoading, NotFound
from plaza_serving.doors.http import HttpDoor

INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/echo/load"
UNLOAD = "/v2/repository/models/echo/unload"


@pytest.fixture
def engineer(door, new_client):
    return new_client(door, key="engineer")


async def test_the_index_has_one_entry_per_version(client):
    found = (await client.post(INDEX)).json()
    assert [one for one in found if one["name"] == "echo"] == [
        {"name": "echo", "version": "1", "state": "READY", "reason": ""},
        {
            "name": "echo",
            "version": "2",
            "state": "UNAVAILABLE",
            "reason": "nobody asked for it",
        },
    ]


async def test_the_index_may_be_of_what_is_ready_alone(client):
    everything = (await client.post(INDEX, {"ready": False})).json()
    ready = (await client.post(INDEX, {"ready": True})).json()
    assert ready == [one for one in everything if one["state"] == "READY"]
    assert 0 < len(ready) < len(everything)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("echo", None),
        ("road.echo", None),
        ("acme.road.echo/versions/2", "2"),
        ("echo/versions/champion", "champion"),
    ],
)
async def test_names_and_versions_are_spelled_as_for_inference(engineer, repository, path, version):
    for verb in ("load", "unload"):
        answer = await engineer.post(f"/v2/repository/models/{path}/{verb}")
        name = path.partition("/")[0]
        assert answer.status == 200
        assert answer.json() == {"name": name, "version": "2" if version == "2" else "1"}
        asked = repository.asked[-1]
        assert (asked.name, asked.version) == (name, version)
        assert asked.authorization == "Bearer engineer"


async def test_an_empty_body_and_empty_parameters_are_the_same(engineer, repository):
    for body in (b"", {}, {"parameters": {}}):
        assert (await engineer.post(LOAD, body)).status == 200
    assert len(repository.asked) == 3


async def test_the_deadline_is_the_requests_else_the_hubs(engineer, hub, repository, settings):
    before = hub.clock.monotonic_ns()
    await engineer.post(LOAD, {"parameters": {"timeout": 90_000_000}})
    await engineer.post(LOAD)
    after = hub.clock.monotonic_ns()
    stated, default = (asked.deadline_ns for asked in repository.asked)
    assert before + 90 * 10**9 <= stated <= after + 90 * 10**9
    wait = settings.default_deadline_ms * 10**6
    assert before + wait <= default <= after + wait


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        (LOAD, {"parameters": {"config": "{}"}}, (422, "invalid_input", "config")),
        (LOAD, {"parameters": {"file:1/m.onnx": "eA=="}}, (422, "invalid_input", "file:1/m.onnx")),
        (LOAD, {"parameters": {"shape": 1}}, (422, "invalid_input", "shape")),
        (LOAD, {"parameters": {"unload_dependents": True}},
         (422, "invalid_input", "unload_dependents")),
        (UNLOAD, {"parameters": {"unload_dependents": 1}},
         (422, "invalid_input", "unload_dependents")),
        (UNLOAD, {"parameters": {"config": "{}"}}, (422, "invalid_input", "config")),
        (LOAD, {"parameters": {"timeout": 0}}, (422, "invalid_input", "timeout")),
        (LOAD, {"parameters": {"timeout": True}}, (422, "invalid_input", "timeout")),
        (LOAD, {"parameters": {"timeout": 10**12}}, (422, "invalid_input", "timeout")),
        (LOAD, {"parameters": []}, (400, "malformed_request", "parameters")),
        (LOAD, {"config": "{}"}, (422, "invalid_input", "config")),
        (LOAD, b"[]", (400, "malformed_request", "body")),
        (LOAD, b"{", (400, "malformed_request", "body")),
        (INDEX, {"ready": 1}, (422, "invalid_input", "ready")),
        (INDEX, {"repository_name": "x"}, (422, "invalid_input", "repository_name")),
    ],
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused_and_asked_of_nobody(
    engineer, repository, path, body, problem
):
    assert (await engineer.post(path, body)).problem() == problem
    assert repository.asked == []


async def test_unload_dependents_is_accepted(engineer):
    for value in (True, False):
        body = {"parameters": {"unload_dependents": value}}
        assert (await engineer.post(UNLOAD, body)).status == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DoesNotFit("version 2 takes more than a replica holds", input="version"), 409),
        (NotFound("there is no such model", input="model"), 404),
        (ModelLoading("the model is still loading", retry_after=2), 503),
    ],
)
async def test_refusals_keep_their_words(engineer, repository, error, status):
    repository.fail = error
    for path in (LOAD, UNLOAD):
        answer = await engineer.post(path)
        assert answer.problem() == (status, error.code, error.input)
        assert answer.json()["error"] == error.message
        assert "x-plaza-charge" not in answer.headers


async def test_a_key_that_may_not_change_models_is_refused(client, repository):
    for path in (LOAD, UNLOAD):
        assert (await client.post(path)).problem()[:2] == (403, "forbidden")
    assert repository.asked == []


async def test_a_hub_without_a_repository_announces_none(hub, settings, new_client):
    engineer = new_client(HttpDoor(hub, settings), key="engineer")
    assert "model_repository" not in (await engineer.get("/v2")).json()["extensions"]
    for path in (INDEX, LOAD, UNLOAD):
        assert (await engineer.post(path)).problem()[:2] == (503, "unavailable")


async def test_null_is_no_value(engineer):
    assert (await engineer.post("/v2/repository/index", {"ready": None})).status == 200
    for verb in ("load", "unload"):
        for body in ({"parameters": None}, {"parameters": {"timeout": None}}):
            answer = await engineer.post(f"/v2/repository/models/echo/{verb}", body)
            assert answer.status == 200
