"""Administrative writes with an Idempotency-Key: done once, answered alike, secrets included."""

import asyncio

import httpx
import pytest

from plaza_core.idempotency import CLAIM_S, KEPT_S
from plaza_serving.control import idempotency as admin

KEYS = "/api/v1/organisations/acme/keys"
NEW = {"role": "consumer", "label": "gate"}


async def write(world, key, name, method="POST", path=KEYS, **more):
    more = more or {"json": NEW}
    headers = {} if name is None else {"idempotency-key": name}
    async with world.control.client(key, **headers) as client:
        return await client.request(method, path, **more)


async def labels(world, key):
    return [k["label"] for k in (await write(world, key, None, "GET")).json()["items"]]


async def test_a_key_is_made_once_and_shown_again_to_its_maker(world, keys):
    first = await write(world, keys["admin"], "n1")
    again = await write(world, keys["admin"], "n1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["key"] == first.json()["key"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (await labels(world, keys["admin"])).count("gate") == 1
    works = await write(world, again.json()["key"], None, "GET", "/api/v1/whoami")
    assert works.status_code == 200


async def test_the_keys_text_is_nowhere_in_the_database(world, keys, tmp_path):
    made = (await write(world, keys["admin"], "n1")).json()["key"]
    files = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("plaza.db"))
    secret = made.split("_")[2].encode()
    assert made.split("_")[1].encode() in files, "the key's id is"
    assert secret not in files
    assert keys["admin"].split("_")[2].encode() not in files


async def test_it_is_replayed_after_a_restart_of_control(world, keys, tmp_path):
    first = await write(world, keys["admin"], "n1")
    world.control.parts.close_waits()
    world.control.parts.tenancy.close()
    again = await write_after_restart(tmp_path, world, keys["admin"])
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"


async def write_after_restart(directory, world, key):
    from dataclasses import replace

    from plaza_core.table import RateLimit
    from plaza_serving.control.app import build_app
    from plaza_serving.control.feed import TableFeed
    from plaza_tenancy import Tenancy

    parts = world.control.parts
    rate = RateLimit(per_second=1, burst=1)
    tenancy = Tenancy(
        parts.settings.database, pepper=b"pepper of this test", clock=parts.clock,
        random=parts.random, default_rate=rate,
    )  # fmt: skip
    feed = TableFeed(tenancy.table, tenancy.table_version)
    feed.refresh()
    world.control.parts = replace(parts, tenancy=tenancy, feed=feed)
    world.control.app = build_app(world.control.parts)
    return await write(world, key, "n1")


async def test_another_request_under_the_name_is_refused(world, keys):
    await write(world, keys["admin"], "n1")
    for other in (
        {"json": NEW | {"label": "other"}},
        {"path": "/api/v1/organisations/acme/projects", "json": NEW},
        {"path": f"{KEYS}?x=1", "json": NEW},
    ):
        answer = await write(world, keys["admin"], "n1", **other)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert (await labels(world, keys["admin"])).count("gate") == 1


async def test_of_many_at_once_one_is_done(world, keys):
    answers = await asyncio.gather(*[write(world, keys["admin"], "n1") for _ in range(12)])
    codes = [a.status_code for a in answers]
    assert set(codes) <= {201, 409}
    assert len({a.json()["key"] for a in answers if a.status_code == 201}) == 1
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {
        "idempotency_in_progress"
    }
    assert (await labels(world, keys["admin"])).count("gate") == 1


async def test_a_refusal_is_the_answer_too(world, keys):
    path = "/api/v1/organisations"
    refused = await write(world, world.control.operator, "n1", path=path, json={"name": "acme"})
    again = await write(world, world.control.operator, "n1", path=path, json={"name": "acme"})
    assert (refused.status_code, again.status_code) == (409, 409)
    assert again.content == refused.content
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_forbidden_write_is_answered_alike_and_by_key(world, keys):
    for replayed in (False, True):
        answer = await write(world, keys["consumer"], "n1")
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (403, replayed)
    assert (await write(world, keys["admin"], "n1")).status_code == 201
    assert (await write(world, keys["stranger"], "n1")).status_code == 403


async def test_a_revoked_key_replays_nothing(world, keys):
    made = (await write(world, keys["admin"], "n1", json={"role": "admin"})).json()
    mine = await write(world, made["key"], "n2")
    assert mine.status_code == 201
    await write(world, keys["admin"], None, "DELETE", f"{KEYS}/{made['id']}")
    again = await write(world, made["key"], "n2")
    assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("name", ["", "x" * 256, "two words"])
async def test_a_name_has_a_form(world, keys, name):
    answer = await write(world, keys["admin"], name)
    assert (answer.status_code, answer.json()["input"]) == (400, "idempotency-key")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_without_a_key_the_route_refuses_in_its_own_words(world):
    for key in (None, "plz_nonsense"):
        answer = await write(world, key, "n1")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_body_over_the_limit_is_413_and_claims_nothing(world, keys):
    large = await write(world, keys["admin"], "n1", content=b"x" * (2 << 20))
    assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")
    assert (await write(world, keys["admin"], "n1")).status_code == 201


async def test_reads_and_files_of_uploads_pass_untouched(world, keys):
    for label in ("a", "b"):
        found = await write(
            world, keys["admin"], "n1", "GET", "/api/v1/whoami", params={"x": label}
        )
        assert (found.status_code, "idempotency-replayed" in found.headers) == (200, False)
    begun = await write(world, keys["admin"], "up", path="/api/v1/uploads", params={})
    upload = begun.json()["upload"]
    for text in (b"one", b"two"):
        path = f"/api/v1/uploads/{upload}/files/a.txt"
        put = await write(world, keys["admin"], "file", "PUT", path, content=text)
        assert put.status_code == 200


async def test_each_kind_of_write_is_replayed(world, keys):
    operator = world.control.operator
    made = (await write(world, keys["admin"], None)).json()["id"]
    for number, (key, method, path, more) in enumerate(
        [
            (operator, "PATCH", "/api/v1/organisations/acme", {"json": {"suspended": False}}),
            (keys["admin"], "DELETE", f"{KEYS}/{made}", {"json": None}),
            (keys["admin"], "POST", "/api/v1/organisations/acme/projects", {"json": {"name": "p"}}),
        ]
    ):
        answers = [await write(world, key, f"k{number}", method, path, **more) for _ in range(2)]
        assert answers[0].is_success
        assert answers[0].content == answers[1].content
        assert answers[1].headers["idempotency-replayed"] == "true"


async def test_a_crash_between_deed_and_record_is_tried_again_after_a_minute(
    world, keys, monkeypatch
):
    """The verb's own uniqueness then speaks: the project is there, and there is one of it."""
    path, body = "/api/v1/organisations/acme/projects", {"json": {"name": "cameras"}}

    async def die(self, done):
        raise asyncio.CancelledError

    with monkeypatch.context() as context:
        context.setattr(admin.LocalClaims, "complete", die)
        with pytest.raises(asyncio.CancelledError):
            await write(world, keys["admin"], "n1", path=path, **body)
    running = await write(world, keys["admin"], "n1", path=path, **body)
    assert running.json()["code"] == "idempotency_in_progress"
    world.control.clock.advance(CLAIM_S)
    again = await write(world, keys["admin"], "n1", path=path, **body)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    found = await write(world, keys["admin"], None, "GET", path)
    assert [p["name"] for p in found.json()["items"]].count("cameras") == 1


async def test_after_a_day_the_name_is_new(world, keys):
    first = await write(world, keys["admin"], "n1")
    world.control.clock.advance(KEPT_S + 1)
    second = await write(world, keys["admin"], "n1")
    assert first.json()["key"] != second.json()["key"]


async def test_only_nodes_may_claim_for_others(world, keys):
    ask = {
        "organisation": "o", "key": "k", "name": "n", "token": "t", "fingerprint": "f",
        "request_id": "r",
    }  # fmt: skip
    for verb in ("claim", "renew", "complete", "release"):
        for key in (None, world.control.operator):
            path = f"/internal/v1/idempotency/{verb}"
            answer: httpx.Response = await write(world, key, None, path=path, json=ask)
            assert answer.status_code == 401
