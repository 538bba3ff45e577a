"""Who gets in: every route of the table needs a key unless it is on the short public list."""

import itertools

import pytest

from plaza_core.principal import Right, Role
from plaza_serving.doors.http import HttpDoor

PUBLIC = {"/v2/health/live", "/v2/health/ready", "/openapi.json", "/docs", "/health"}


def paths(door):
    for route in door.router.routes:
        model = "embedder" if route.template.startswith("/tei/") else "echo"
        filled = route.template.replace("{model}", model).replace("{version}", "1")
        yield route, filled


async def test_every_route_without_a_key_is_refused_except_the_public_ones(door, new_client, hub):
    stranger = new_client(door, key=None)
    seen = {}
    for route, path in paths(door):
        answer = await stranger.send(route.method, path, b"{}")
        seen[path] = answer.status
        if answer.status == 401:
            assert answer.problem() == (401, "unauthenticated", "authorization")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert {path for path, status in seen.items() if status == 200} == PUBLIC
    assert {status for path, status in seen.items() if path not in PUBLIC} == {401}
    assert len(seen) == len({route.template for route in door.router.routes}) == 46
    assert hub.calls == []


async def test_public_rows_are_those_without_a_right(door):
    assert {route.template for route, _ in paths(door) if route.right is None} == PUBLIC


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody", "Basic consumer", "consumer"])
async def test_a_wrong_key_is_401(door, new_client, header):
    answer = await new_client(door, key=None).get("/v2", headers={"authorization": header})
    assert answer.status == 401


async def test_the_role_must_include_the_right_of_the_route(door, new_client):
    auditor = new_client(door, key=Role.AUDITOR.value)
    for route, path in paths(door):
        answer = await auditor.send(route.method, path, b"{}")
        if route.right in {Right.INFER, Right.MODELS_WRITE}:
            assert answer.problem()[:2] == (403, "forbidden")
        else:
            assert answer.status == 200


async def test_a_stranger_has_no_body_read(door, new_client):
    stranger = new_client(door, key=None)
    endless = itertools.repeat(b"x" * 65536)
    answer = await stranger.infer(endless, headers={"transfer-encoding": "chunked"})
    assert (answer.status, stranger.received) == (401, 0)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "query", ["api_key=x", "KEY=x", "access_token=x", "model=plz_abc", "a=1&token=", "x=plz_"]
)
@pytest.mark.parametrize("path", ["/v2", "/v2/health/live"])
async def test_a_key_in_the_url_is_refused_even_beside_a_good_one(client, path, query):
    answer = await client.get(path, query=query)
    assert answer.problem() == (400, "malformed_request", "authorization")


async def test_two_keys_in_one_request_are_refused(client):
    answer = await client.get("/v2", headers=[("Authorization", "Bearer admin")])
    assert answer.problem() == (400, "malformed_request", "authorization")


async def test_other_headers_may_repeat(client):
    assert (await client.get("/v2", headers=[("accept", "a"), ("accept", "b")])).status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/V2", "//v2", "/v2//", "/v2/models", "/v2/models/", "/v2/models//infer",
     "/v2/models/echo/", "/v2/models/echo/infer/", "/v2/models/echo/versions",
     "/v2/models/echo/versions/", "/v2/models/echo/versions/1/", "/v2/models/echo/config/",
     "/tei", "/tei/", "/tei/embedder/", "/tei/embedder/tokenize", "/tokenize", "/embed/",
     "/v1/models/", "/v1/models/echo/infer", "/v1/timeseries", "/v2/stats",
     "/v2;x", "/v2/health/live/", "/docs/../v2", "/openapi.json/", "/./v2", "/v2/%2e%2e",
     "/v2/repository", "/v2/repository/index/", "/v2/repository/models/echo",
     "/v2/repository/models//load", "/v2/repository/models/echo/versions/1",
     "/v2/repository/models/echo/infer", "/v2/models/echo/load", "/metrics"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_exact_paths_are_routes(client, method, path):
    assert (await client.send(method, path)).problem() == (404, "route_not_found", None)


async def test_a_wrong_method_is_told_the_right_ones(client):
    answer = await client.post("/v2")
    assert answer.problem() == (405, "method_not_allowed", None)
    assert answer.headers["allow"] == "GET, HEAD"
    assert (await client.get("/v2/models/echo/infer")).headers["allow"] == "POST"
    assert (await client.send("HEAD", "/v2/health/live")).status == 200


async def test_pools(hub, settings, client, new_client):
    assert (await client.get("/pools/ov/v2")).problem() == (404, "pool_not_found", None)
    pool = new_client(HttpDoor(hub, settings, prefix="/pools/ov"))
    assert (await pool.get("/pools/ov/v2")).status == 200
    assert (await pool.get("/pools/ov/v2/models/echo/ready")).json()["name"] == "echo"
    assert (await pool.get("/v2")).problem()[1] == "route_not_found"
    assert (await pool.get("/pools/ovv2")).problem()[1] == "route_not_found"


def test_paths_of_ray_serve_are_left_to_it(door):
    assert not door.owns({"type": "http", "path": "/-/healthz"})
    assert not door.owns({"type": "lifespan"})
    assert door.owns({"type": "http", "path": "/v2"})
    assert door.owns({"type": "http", "path": "/anything"})


async def test_a_request_id_is_never_the_clients(client):
    first = await client.get("/v2", headers={"x-request-id": "mine"})
    second = await client.get("/nowhere", headers={"x-request-id": "mine"})
    assert first.headers["x-request-id"] == "request-1"
    assert second.headers["x-request-id"] == "request-2"


async def test_headers_of_ray_serve_change_nothing(client, hub):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
    spoofed = {
        "x-request-timeout-seconds": "0",
        "x-request-disconnect-disabled": "?1",
        "serve_multiplexed_model_id": "other",
        "x-session-id": "s",
        "x-forwarded-for": "127.0.0.1",
    }
    plain, same = await client.infer(body), await client.infer(body, headers=spoofed)
    assert plain.body == same.body
    one, two = hub.calls
    assert (one.model, one.version, one.deadline_ns) == (two.model, two.version, two.deadline_ns)


async def test_lifespan_and_websockets(door):
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive():
        return next(incoming)

    async def send(message):
        sent.append(message["type"])

    await door({"type": "lifespan"}, receive, send)
    await door({"type": "websocket", "path": "/v2"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
