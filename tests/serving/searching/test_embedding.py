"""What the endpoint says is passed on as it was said; what it does not say is nobody's vector."""

from __future__ import annotations

import httpx
import numpy as np
import orjson
import pytest

from plaza_core import errors as e
from plaza_serving.doors.problems import TEI, problem
from plaza_serving.searching.embedding import AT_ONCE, EndpointEmbedder


def answering(handler):
    return EndpointEmbedder("http://hub.test", httpx.MockTransport(handler))


def embed(handler, texts=("a", "b")):
    return answering(handler).embed("plz_key", "org.main.mini", 3, list(texts))


def test_texts_are_asked_for_in_pieces_with_the_callers_key_and_charges_add_up():
    asked = []

    def handler(request):
        body = orjson.loads(request.content)
        asked.append((request.url.path, request.headers["authorization"], body["version"]))
        assert body["truncate"] is True
        rows = [[float(text), 1.0] for text in body["inputs"]]
        return httpx.Response(200, content=orjson.dumps(rows), headers={"x-plaza-charge": "7"})

    count = 2 * AT_ONCE + 1
    made = embed(handler, [str(n) for n in range(count)])
    assert np.array_equal(made.rows[:, 0], np.arange(count))
    assert made.charge == 21
    assert set(asked) == {("/tei/org.main.mini/embed", "Bearer plz_key", 3)}


@pytest.mark.parametrize(
    "error",
    [
        e.ModelNotFound("no such model", input="model"),
        e.QuotaExceeded("used up"),
        e.RateLimited("too many", retry_after=3),
        e.Overloaded("full", retry_after=1),
        e.ModelFailed("no direction", input="elsewhere"),
        e.Unauthenticated("not a key"),
        e.PoolLost("gone"),
    ],
)
def test_a_refusal_is_passed_on_with_its_code(error):
    def handler(_):
        reply = problem(error, "0190", wording=TEI)
        headers = {name.decode(): value.decode() for name, value in reply.headers}
        return httpx.Response(reply.status, content=reply.body, headers=headers)

    with pytest.raises(type(error)) as told:
        embed(handler)
    assert (told.value.code, told.value.message) == (error.code, error.message)
    assert told.value.input == error.input
    assert told.value.retry_after == (error.retry_after and float(error.retry_after))


def test_a_text_is_named_by_its_place_among_all():
    def handler(request):
        inputs = orjson.loads(request.content)["inputs"]
        if "bad" not in inputs:
            return httpx.Response(200, content=orjson.dumps([[1.0]] * len(inputs)))
        where = f"inputs[{inputs.index('bad')}]"
        reply = problem(e.InvalidInput("no letter", input=where), "0190", wording=TEI)
        return httpx.Response(reply.status, content=reply.body)

    with pytest.raises(e.InvalidInput) as told:
        embed(handler, [*["a"] * (AT_ONCE + 3), "bad"])
    assert told.value.input == f"texts[{AT_ONCE + 3}]"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code": "nobody-knows"}', b"[1]"])
def test_another_servers_error_is_unavailable(body):
    with pytest.raises(e.Unavailable):
        embed(lambda _: httpx.Response(502, content=body))


@pytest.mark.parametrize("rows", [[[1.0]], [1.0, 2.0], [[1.0], [1.0, 2.0]], {}, [["x"], ["y"]]])
def test_what_are_no_vectors_of_these_texts_are_refused(rows):
    with pytest.raises(e.ModelFailed):
        embed(lambda _: httpx.Response(200, content=orjson.dumps(rows)))


def test_nobody_there():
    def handler(request):
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(e.Unavailable):
        embed(handler)
