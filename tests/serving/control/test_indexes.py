"""Search over the admin API: who may, what is counted, and that nobody hears of anybody else's."""

from __future__ import annotations

import json
import logging

import pytest

from plaza_core.errors import QuotaExceeded
from tests.serving.control.conftest import bundle

CASES = [
    {"id": "light", "text": "street light broken", "facts": {"district": 3}},
    {"id": "hole", "text": "pothole in the road"},
    {"id": "lamp", "text": "路灯坏了没人修"},
]
INDEX = "/api/v1/indexes/cases"


@pytest.fixture
async def keys(world):
    return await world.organisation(
        "acme",
        engineer={"role": "engineer"},
        reader={"role": "consumer"},
        auditor={"role": "auditor"},
    )


def embedder_bundle():
    """A bundle that says of itself that it embeds texts; nothing here opens it."""
    made = bundle("tiny-embedder")
    made["plaza.yaml"] = made["plaza.yaml"].replace(b"schema: 1", b"schema: 1\nfamily: text.embed")
    return made


@pytest.fixture
async def index(world, keys):
    made = await world.register(keys["engineer"], embedder_bundle())
    assert made.status_code == 200, made.text
    body = {"name": "cases", "model": "tiny-embedder"}
    made = await world.ask(keys["engineer"], "POST", "/api/v1/indexes", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def put(world, key, documents=CASES):
    body = {"documents": documents}
    return await world.ask(key, "PUT", f"{INDEX}/documents", json=body)


async def test_documents_go_in_and_the_right_ones_come_out(world, keys, index):
    assert (index["model"], index["version"]) == ("acme.main.tiny-embedder", 1)
    done = (await put(world, keys["engineer"])).json()
    assert done == {"added": 3, "replaced": 0, "unchanged": 0, "documents": 3, "charge": 3}
    body = {"query": "broken street lights", "limit": 2}
    found = (await world.ask(keys["reader"], "POST", f"{INDEX}/search", json=body)).json()
    assert (found["mode"], found["charge"]) == ("hybrid", 1)
    first = found["items"][0]
    assert (first["id"], first["facts"], first["keyword_rank"]) == ("light", {"district": 3}, 1)
    body = {"query": "路灯", "mode": "keywords"}
    found = (await world.ask(keys["reader"], "POST", f"{INDEX}/search", json=body)).json()
    assert [one["id"] for one in found["items"]] == ["lamp"]
    shown = (await world.ask(keys["reader"], "GET", INDEX)).json()
    assert (shown["documents"], shown["bytes"] > 0) == (3, True)


async def test_the_callers_own_key_pays(world, keys, index):
    await put(world, keys["engineer"])
    body = {"query": "anything"}
    await world.ask(keys["reader"], "POST", f"{INDEX}/search", json=body)
    asked = world.parts.searching._embedder.asked
    assert [key for key, *_ in asked] == [keys["engineer"], keys["reader"]]
    assert {(model, version) for _, model, version, _ in asked} == {("acme.main.tiny-embedder", 1)}


async def test_documents_are_deleted_listed_and_dropped(world, keys, index):
    await put(world, keys["engineer"])
    body = {"ids": ["light", "never"]}
    done = await world.ask(keys["engineer"], "POST", f"{INDEX}/documents/delete", json=body)
    assert done.json() == {"deleted": 1, "documents": 2}
    page = (await world.ask(keys["reader"], "GET", f"{INDEX}/documents?limit=1")).json()
    assert ([one["id"] for one in page["items"]], page["next"]) == (["hole"], "hole")
    rest = (await world.ask(keys["reader"], "GET", f"{INDEX}/documents?after=hole")).json()
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (["lamp"], None)
    assert (await world.ask(keys["engineer"], "DELETE", INDEX)).status_code == 204
    assert (await world.ask(keys["engineer"], "GET", INDEX)).status_code == 404


async def test_who_calls_models_searches_and_does_not_write(world, keys, index):
    assert (await put(world, keys["reader"])).status_code == 403
    body = {"query": "light"}
    refused = await world.ask(keys["auditor"], "POST", f"{INDEX}/search", json=body)
    assert refused.status_code == 403
    assert (await world.ask(keys["auditor"], "GET", INDEX)).status_code == 200


async def test_operators_see_that_there_is_an_index_and_not_what_is_in_it(world, keys, index):
    await put(world, keys["engineer"])
    listed = await world.ask(world.operator, "GET", "/api/v1/indexes?organisation=acme")
    assert [one["name"] for one in listed.json()["items"]] == ["cases"]
    for method, path, body in (
        ("GET", "documents", None),
        ("POST", "search", {"query": "light"}),
        ("PUT", "documents", {"documents": CASES}),
    ):
        url = f"{INDEX}/{path}?organisation=acme"
        assert (await world.ask(world.operator, method, url, json=body)).status_code == 404


async def test_counts_are_limited(world, keys, index):
    path = "/api/v1/organisations/acme/holdings/documents"
    assert (await world.ask(world.operator, "PUT", path, json={"limit": 2})).status_code == 200
    refused = await put(world, keys["engineer"])
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.json()["input"] == "documents"
    assert (await put(world, keys["engineer"], CASES[:2])).status_code == 200


async def test_a_refused_embedding_is_told_as_the_endpoint_told_it(world, keys, index):
    world.parts.searching._embedder.refusal = QuotaExceeded("the budget of this key is used up")
    refused = await put(world, keys["engineer"])
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert (await world.ask(keys["reader"], "GET", INDEX)).json()["documents"] == 0


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"id": "", "text": "x"}, "documents.0.id"),
        ({"id": "a", "text": " \n"}, "documents.0.text"),
        ({"id": "a", "text": "x" * 20_001}, "documents.0.text"),
        ({"id": "a", "text": "x", "facts": {"a": "b" * 4_000}}, "documents.0.facts"),
        ({"id": "a", "text": "x", "title": "y"}, "documents.0.title"),
    ],
)
async def test_a_document_that_does_not_fit_is_named(world, keys, index, document, field):
    refused = await put(world, keys["engineer"], [document])
    assert (refused.status_code, refused.json()["input"]) == (422, field)


async def test_half_a_character_is_refused(world, keys, index):
    body = b'{"documents": [{"id": "a", "text": "\\ud800"}]}'
    json_type = {"content-type": "application/json"}
    refused = await world.ask(
        keys["engineer"], "PUT", f"{INDEX}/documents", content=body, headers=json_type
    )
    assert refused.status_code in {400, 422}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "more", "model": "nowhere"}, 404),
        ({"name": "more", "model": "tiny-embedder", "version": "9"}, 404),
        ({"name": "cases"}, 409),
        ({"name": "No"}, 422),
        ({"name": "more", "model": "doubler"}, 422),
    ],
)
async def test_an_index_that_cannot_be_made(world, keys, index, body, status):
    assert (await world.register(keys["engineer"], bundle())).status_code == 200
    refused = await world.ask(keys["engineer"], "POST", "/api/v1/indexes", json=body)
    assert refused.status_code == status, refused.text


async def test_making_and_dropping_are_in_the_audit_trail(world, keys, index):
    await put(world, keys["engineer"])
    await world.ask(keys["engineer"], "DELETE", INDEX)
    trail = (await world.ask(keys["auditor"], "GET", "/api/v1/audit")).json()["items"]
    assert [one["action"] for one in trail[:2]] == ["index.drop", "index.create"]
    assert trail[0]["before"]["documents"] == 3


async def test_nothing_of_a_document_or_a_query_is_logged(world, keys, index, caplog):
    caplog.set_level(logging.DEBUG)
    await put(world, keys["engineer"], [{"id": "a", "text": "unmistakable words"}])
    body = {"query": "unmistakable question"}
    await world.ask(keys["reader"], "POST", f"{INDEX}/search", json=body)
    said = "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert "request" in said
    assert "unmistakable" not in said


async def test_documents_of_megabytes_are_taken_and_other_bodies_are_not(world, keys, index):
    many = [{"id": f"{n}", "text": f"{n} " + "long " * 3_000} for n in range(100)]
    assert len(json.dumps(many)) > 1 << 20
    done = await put(world, keys["engineer"], many)
    assert (done.status_code, done.json()["documents"]) == (200, 100)
    body = {"name": "x" * (1 << 20)}
    refused = await world.ask(keys["engineer"], "POST", "/api/v1/indexes", json=body)
    assert refused.status_code == 413
