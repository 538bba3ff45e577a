"""One shape for every refusal, whatever layer it comes from, and nothing of the inside in it."""

import json
import logging

import pytest

from plaza_serving.control.openapi import document
from tests.serving.control.conftest import bundle

SHAPE = {"error", "code", "input", "request_id"}


def refusal(answer):
    body = answer.json()
    assert set(body) == SHAPE
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"]


async def post(world, content, **headers):
    headers = {"content-type": "application/json", **headers}
    return await world.ask(
        world.operator, "POST", "/api/v1/organisations", content=content, headers=headers
    )


async def test_the_frameworks_own_refusals_have_the_shape(world):
    ask = world.ask
    assert refusal(await ask(None, "GET", "/nowhere")) == (404, "route_not_found")
    assert refusal(await ask(None, "GET", "/api/v1/whoami/")) == (404, "route_not_found")
    no_method = await ask(None, "DELETE", "/healthz")
    assert refusal(no_method) == (405, "method_not_allowed")
    assert no_method.headers["allow"] == "GET"


async def test_a_refused_method_hears_of_all_that_the_path_takes(world):
    described = json.loads(document())["paths"]
    for path, taken in described.items():
        answer = await world.ask(None, "TRACE", path.replace("{", "").replace("}", ""))
        assert refusal(answer) == (405, "method_not_allowed"), path
        assert answer.headers["allow"] == ", ".join(sorted(taken)).upper(), path


async def test_numbers_that_no_database_takes_are_refused_or_found_nowhere(world):
    ask = world.ask
    audit = await ask(world.operator, "GET", f"/api/v1/audit?before={2**63}")
    assert refusal(audit) == (422, "invalid_input")
    await world.organisation("acme")
    model = (await world.register(world.operator, bundle("doubler"))).json()["name"]
    for verb in ("stage", "retire", "withdraw", "examine"):
        for number in (2**31, 2**63, "9" * 5000):
            path = f"/api/v1/models/{model}/versions/{number}/{verb}"
            answer = await ask(world.operator, "POST", path, json={"why": ""})
            assert refusal(answer) == (422, "invalid_input")
    path = f"/api/v1/models/{model}/diff?before={'9' * 5000}&after=1"
    assert refusal(await ask(world.operator, "GET", path)) == (404, "model_not_found")


async def test_what_is_no_json_is_malformed(world):
    for content in (b"", b"{", b"\xff\xfe", b"{'name': 'x'}"):
        answer = await post(world, content)
        assert answer.status_code in {400, 422}
        refusal(answer)


async def test_deep_json_is_refused_not_followed(world):
    assert refusal(await post(world, b"[" * 100_000)) == (400, "malformed_request")
    nested = b'{"name":' * 50_000 + b"1" + b"}" * 50_000
    assert refusal(await post(world, nested))[0] in {400, 422}


async def test_a_large_body_is_refused_without_believing_its_header(world):
    body = json.dumps({"name": "x", "title": "y" * (1 << 20)}).encode()
    answer = await post(world, body)
    assert refusal(answer) == (413, "payload_too_large")
    assert answer.headers["connection"] == "close"


async def test_a_body_just_under_the_limit_is_read(world):
    body = json.dumps({"name": "x", "title": "y" * ((1 << 20) - 100)}).encode()
    assert refusal(await post(world, body)) == (422, "invalid_input")


async def test_numbers_that_are_none_are_refused(world):
    await world.organisation("acme")
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        answer = await world.ask(
            world.operator,
            "PATCH",
            "/api/v1/organisations/acme",
            content=f'{{"rate": {{"per_second": {number}, "burst": 1}}}}'.encode(),
            headers={"content-type": "application/json"},
        )
        assert refusal(answer)[0] in {400, 422}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer plz_short", "bearer a b c"]
)
async def test_headers_that_hold_no_key(world, header):
    async with world.client(authorization=header) as client:
        answer = await client.get("/api/v1/whoami")
    assert refusal(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_bug_becomes_a_request_id_and_a_log_line(world, caplog):
    secret = "what a client sent"

    def broken(*_, **__):
        raise ZeroDivisionError(secret)

    world.parts.tenancy.organisations.list = broken
    with caplog.at_level(logging.INFO):
        answer = await world.ask(world.operator, "GET", "/api/v1/organisations")

    assert refusal(answer) == (500, "internal")
    for leak in (secret, "Traceback", "ZeroDivisionError", ".py", "/"):
        assert leak not in answer.json()["error"]
    failed = next(r for r in caplog.records if r.message == "request failed")
    assert failed.request_id == answer.headers["x-request-id"]


async def test_log_lines_hold_ids_and_no_keys(world, caplog):
    with caplog.at_level(logging.DEBUG, logger="plaza_serving"):
        answer = await world.ask(world.operator, "GET", "/api/v1/usage?organisation=plaza")
    (line,) = [r for r in caplog.records if r.message == "request"]
    assert (line.route, line.status, line.method) == ("/api/v1/usage", 200, "GET")
    assert line.request_id == answer.headers["x-request-id"]
    assert line.key
    assert world.operator.split("_")[2] not in str(vars(line))


async def test_a_request_id_is_ours_and_never_a_clients(world):
    async with world.client(None, **{"x-request-id": "mine"}) as client:
        first, second = await client.get("/healthz"), await client.get("/healthz")
    assert first.headers["x-request-id"] != "mine"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["cache-control"] == "no-store"


async def test_health_needs_no_key_and_tells_nothing(world):
    assert (await world.ask(None, "GET", "/healthz")).json() == {"status": "alive"}
    assert (await world.ask(None, "GET", "/readyz")).json() == {"status": "ready"}
