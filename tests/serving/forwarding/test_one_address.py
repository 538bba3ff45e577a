"""One address: what lives in another pool is answered as if it had been asked there."""

from __future__ import annotations

import asyncio
import json
import re

import numpy as np
import pytest

from plaza_core.errors import Overloaded
from plaza_core.table import HeartbeatReply
from plaza_serving.forwarding.seal import HEADER, Hop, Seal
from tests.serving.forwarding.conftest import PREFIX, SEAL
from tests.waiting import until

X = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
ECHO = {"inputs": [X]}
PNG = b"\x89PNG and more"


def binary():
    data = np.arange(3, dtype=np.float32).tobytes()
    tensor = {**X, "parameters": {"binary_data_size": len(data)}}
    del tensor["data"]
    head = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(head).encode()
    return head + data, {"inference-header-content-length": str(len(head))}


REQUESTS = {
    "metadata": ("GET", "/v2/models/echo", b"", {}),
    "metadata of a version": ("GET", "/v2/models/echo/versions/2", b"", {}),
    "ready": ("GET", "/v2/models/echo/ready", b"", {}),
    "configuration": ("GET", "/v2/models/echo/config", b"", {}),
    "statistics": ("GET", "/v2/models/echo/stats", b"", {}),
    "json": ("POST", "/v2/models/echo/infer", ECHO, {}),
    "binary": ("POST", "/v2/models/echo/infer", *binary()),
    "in pieces": ("POST", "/v2/models/echo/infer", [json.dumps(ECHO).encode()[:9],
                                                    json.dumps(ECHO).encode()[9:]], {}),
    "a wrong tensor": ("POST", "/v2/models/echo/infer", {"inputs": [{**X, "name": "q"}]}, {}),
    "no such version": ("POST", "/v2/models/echo/versions/9/infer", ECHO, {}),
    "load": ("POST", "/v2/repository/models/echo/load", b"{}", {}),
    "openai": ("POST", "/v1/embeddings", {"model": "embedder", "input": ["a b"]}, {}),
    "tei": ("POST", "/tei/embedder/embed", {"inputs": ["a b"]}, {}),
    "time series": ("POST", "/v1/timeseries/forecast",
                    {"model": "forecaster", "inputs": [{"type": "univariate_time_series",
                     "name": "a", "series": [1.0, 2.0], "frequency": "H"}],
                     "options": {"horizon": 2}}, {}),
    "a picture": ("POST", "/v1/vision/detect?model=detector", PNG, {"content-type": "image/png"}),
}  # fmt: skip


def told(answer):
    """All of an answer but what is the server's or new with each request."""
    own = {"x-request-id", "date", "server"}
    body = re.sub(rb'request-\d+|"created_at":\d+', b"", answer.body)
    return answer.status, {n: v for n, v in answer.headers.items() if n not in own}, body


@pytest.mark.parametrize("what", REQUESTS)
async def test_the_answer_of_the_other_pool_comes_back_as_it_is(pools, what):
    method, path, body, headers = REQUESTS[what]
    key = "engineer" if what == "load" else "consumer"
    path, _, query = path.partition("?")
    more = {"headers": headers, "query": query}
    direct = await pools.direct(key).send(method, PREFIX + path, body, **more)
    answer = await pools.client(key).send(method, path, body, **more)
    assert told(answer) == told(direct)
    assert len(pools.seen) == 1, "one hop"
    assert pools.front.calls == [], "nothing is worked out or charged in front"
    assert int(answer.headers["x-request-id"].removeprefix("request-")) > 5000, "the other's"


async def test_what_lives_here_goes_nowhere(pools):
    body = {"inputs": [{**X, "datatype": "FP64", "shape": [3]}]}
    assert (await pools.client().infer(body, "open")).status == 200
    assert (await pools.client().infer(body, "nothing")).problem()[:2] == (404, "model_not_found")
    assert pools.seen == []


async def test_who_has_no_key_is_refused_in_front(pools):
    assert (await pools.client(None).infer(ECHO)).status == 401
    assert (await pools.client("auditor").infer(ECHO)).status == 403
    assert pools.seen == []


async def test_a_head_request_gets_the_head_of_the_other_pools_answer(pools):
    answers = []

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http",
        "method": "HEAD",
        "path": "/v2/models/echo",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer consumer")],
    }
    await pools.door(scope, asyncio.Event().wait, send)
    start, body = answers
    assert (start["status"], body["body"]) == (200, b"")
    assert int(dict(start["headers"])[b"content-length"]) > 0


# ── marks ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_strangers_mark_does_nothing_and_goes_no_further(pools):
    wrong = Seal("another hub's token").mark(Hop(age_ns=10**12))[1].decode()
    for value in (wrong, "", "a b c d", "x" * 5000):
        answer = await pools.client().infer(ECHO, headers={HEADER.decode(): value})
        assert answer.status == 200
        marks = [v for n, v in pools.seen[-1]["headers"] if n == HEADER]
        assert len(marks) == 1
        assert SEAL.read(marks[0]) is not None
        direct = await pools.direct().send(
            "POST", f"{PREFIX}/v2/models/echo/infer", ECHO, headers={HEADER.decode(): value}
        )
        assert direct.status == 200
        assert pools.back.calls[-1].age_ns == 0


async def test_without_a_mark_there_is_no_tunnel(pools):
    answer = await pools.direct().post(f"{PREFIX}/grpc/ModelInfer", b"")
    assert answer.problem()[:2] == (404, "route_not_found")


async def test_headers_of_the_connection_stay_with_it(pools):
    given = {"connection": "keep-alive, x-mine", "x-mine": "1", "te": "trailers", "x-other": "2"}
    await pools.client().infer(ECHO, headers=given)
    names = {name for name, _ in pools.seen[0]["headers"]}
    assert b"x-other" in names
    assert names.isdisjoint({b"x-mine", b"te"})


# ── time ─────────────────────────────────────────────────────────────────────────────────────────
async def test_what_the_hop_took_is_taken_off_the_deadline(pools):
    body = {**ECHO, "parameters": {"timeout": 1_000_000}}
    mark = SEAL.mark(Hop(age_ns=2 * 10**9))[1].decode()
    late = await pools.direct().send(
        "POST", f"{PREFIX}/v2/models/echo/infer", body, headers={HEADER.decode(): mark}
    )
    assert late.problem()[:2] == (504, "deadline_exceeded")
    assert (await pools.client().infer(body)).status == 200
    begun = pools.back.clock.monotonic_ns()
    call = pools.back.calls[-1]
    assert 0 < call.age_ns < 10**9
    assert call.deadline_ns - begun < 10**9, "a second from the beginning in front, not more"


async def test_a_client_that_leaves_ends_the_work_in_the_other_pool(pools):
    pools.back.hold = asyncio.Event()
    client = pools.client()
    request = asyncio.create_task(client.infer(ECHO))
    await until(lambda: pools.back.calls)
    client.left.set()
    assert (await asyncio.wait_for(request, 5)).status == 0
    await until(lambda: pools.back.cancelled)
    assert len(pools.others) == 0


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────
async def test_an_organisation_has_half_of_the_places_on_the_way(pools):
    pools.back.hold = asyncio.Event()
    waiting = [asyncio.create_task(pools.client().infer(ECHO)) for _ in range(8)]
    await until(lambda: len(pools.back.calls) == 8)
    refused = await pools.client().infer(ECHO)
    assert refused.problem()[:2] == (503, "forwarding_busy")
    assert (refused.headers["retry-after"], refused.headers["x-plaza-charge"]) == ("1", "0")
    pools.back.hold.set()
    assert {one.status for one in await asyncio.gather(*waiting)} == {200}
    assert (await pools.client().infer(ECHO)).status == 200


async def test_an_overloaded_pool_says_so_itself(pools):
    pools.back.fail = Overloaded("the queue is full", retry_after=3)
    answer = await pools.client().infer(ECHO)
    assert answer.problem()[:2] == (503, "overloaded")
    assert answer.headers["retry-after"] == "3"


async def test_a_pool_without_a_replica_is_unavailable_at_once(pools):
    pools.others.heed(HeartbeatReply(live_replicas=1, pools={"main": 1}))
    answer = await pools.client().infer(ECHO)
    assert answer.problem()[:2] == (503, "pool_unavailable")
    assert answer.headers["x-plaza-charge"] == "0"
    assert pools.seen == []
    pools.others.heed(HeartbeatReply(live_replicas=1, pools={"main": 1, "ov": 1}))
    assert (await pools.client().infer(ECHO)).status == 200


async def test_a_pools_own_address_without_a_replica_is_unavailable_not_unknown(pools):
    for path in ("/pools/ov", "/pools/npu/v2", "/pools/npu/v2/models/echo"):
        assert (await pools.client().get(path)).problem()[:2] == (503, "pool_unavailable")
    assert (await pools.client().get("/pools/third/v2")).problem()[:2] == (404, "pool_not_found")
    assert pools.seen == []


async def test_the_catalogue_names_the_address_that_spares_the_hop(pools):
    shown = (await pools.client().get("/v2/models/open")).json()["properties"]
    assert (shown["pool"], shown["address"]) == ("main", "/v2/models/open")


async def test_an_answer_that_breaks_off_is_no_promise_that_nothing_was_done(pools):
    async def leaves(scope, receive, send):
        if pools.server is None:
            return
        for connection in pools.server.connections:
            connection.transport.abort()

    pools.there = leaves
    answer = await pools.client().infer(ECHO)
    assert answer.problem()[:2] == (502, "pool_lost")
    assert answer.headers.keys().isdisjoint({"retry-after", "x-plaza-charge"})
    assert len(pools.seen) == 1, "it is not sent twice"
