"""OpenAI's dialect: what its clients send and read, and how errors are told to them."""

import base64

import numpy as np
import pytest

from plaza_core.errors import QuotaExceeded, RateLimited
from plaza_models.tasks import EmbedTask

TIMING = {"queue_us": 1, "prepare_us": 2, "run_us": 3, "interpret_us": 4, "compute_us": 9}
EMBED = {"model": "embedder", "input": ["a b", "abc"]}
MODEL = {
    "id": "embedder",
    "object": "model",
    "created": 0,
    "owned_by": "plaza",
    "family": "text.embed",
    "version": 1,
    "ready": True,
}


async def test_embeddings_have_the_shape_of_openai(client, hub):
    answer = (await client.post("/v1/embeddings", {**EMBED, "user": "u", "new": 1})).json()
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0, 0, 0, 1]},
            {"object": "embedding", "index": 1, "embedding": [0, 0, 0, 1]},
        ],
        "model": "embedder",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "version": 1,
        "timing": TIMING,
    }
    assert hub.calls[0].task == EmbedTask(("a b", "abc"))


async def test_embeddings_in_base64_are_little_endian_float32(client):
    answer = await client.post("/v1/embeddings", {**EMBED, "encoding_format": "base64"})
    for item in answer.json()["data"]:
        assert np.frombuffer(base64.b64decode(item["embedding"]), "<f4").tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"encoding_format": "hex"}, "encoding_format"), ({"dimensions": 3}, "dimensions"),
     ({"dimensions": "4"}, "dimensions"), ({"dimensions": 4}, None),
     ({"input": [[1, 2], [3]]}, "input"), ({"input": [1, 2]}, "input"), ({"input": []}, "input")],
)  # fmt: skip
async def test_what_an_embedder_cannot_do_is_refused_before_it_runs(client, hub, change, field):
    answer = await client.post("/v1/embeddings", {**EMBED, **change})
    if field is None:
        assert answer.status == 200
    else:
        assert answer.problem() == (422, "invalid_input", field)
        assert hub.calls == []


async def test_models(client):
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert MODEL in listed["data"]
    assert (await client.get("/v1/models/embedder")).json() == MODEL
    assert (await client.get("/v1/models/absent")).problem()[:2] == (404, "model_not_found")


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [(RateLimited("slow down"), 429, "rate_limit_error"),
     (QuotaExceeded("used up"), 429, "insufficient_quota"),
     (ZeroDivisionError(), 500, "server_error")],
)  # fmt: skip
async def test_errors_are_told_as_openai_tells_them(client, hub, raised, status, kind):
    hub.fail = raised
    answer = await client.post("/v1/embeddings", EMBED)
    assert answer.problem()[0] == answer.status == status
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == (kind, None)


async def test_a_stranger_is_told_so_too(door, new_client):
    answer = await new_client(door, key=None).post("/v1/embeddings", EMBED)
    assert answer.problem() == (401, "unauthenticated", "authorization")
    assert answer.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [("POST", "/v1/chat/completions", (404, "route_not_found")),
     ("GET", "/v1/embeddings", (405, "method_not_allowed"))],
)  # fmt: skip
async def test_what_is_not_offered_is_told_in_openais_words(client, method, path, told):
    answer = await client.send(method, path)
    assert answer.problem()[:2] == told
    assert answer.json()["error"]["type"] == "invalid_request_error"
