"""From an upload to a version that replicas have published."""

import asyncio
import hashlib

import pytest

from plaza_core.errors import SandboxUnavailable
from plaza_core.running import Examination
from plaza_serving.control.routes import models, uploads


@pytest.fixture
async def keys(world):
    return await world.organisation(
        "acme",
        engineer={"role": "engineer"},
        consumer={"role": "consumer"},
        other={"role": "engineer"},
    )


async def test_a_bundle_becomes_a_version_that_replicas_are_told_of(world, keys, make_bundle):
    bundle = make_bundle("doubler")
    answer = await world.register(keys["engineer"], bundle)

    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["name"], made["version"], made["created"], made["tracked"]) == (
        "doubler",
        1,
        True,
        True,
    )
    assert made["examination"]["passed"] is True
    assert made["digest"].encode() in world.parts.feed.current.body
    shown = await world.ask(keys["consumer"], "GET", "/api/v1/models/doubler")
    assert shown.json()["aliases"] == {"champion": 1}
    versions = await world.ask(keys["consumer"], "GET", "/api/v1/models/doubler/versions")
    assert versions.json()["items"][0]["card"] == "# Doubler"


async def test_the_same_bundle_again_is_the_same_version(world, keys, make_bundle):
    bundle = make_bundle()
    first = (await world.register(keys["engineer"], bundle)).json()
    again = (await world.register(keys["engineer"], bundle)).json()
    assert again["created"] is False
    assert (again["version"], again["digest"]) == (first["version"], first["digest"])


async def test_nodes_fetch_the_files_by_their_digest(world, keys, make_bundle):
    bundle = make_bundle()
    await world.register(keys["engineer"], bundle)
    digest = hashlib.sha256(bundle["model.onnx"]).hexdigest()
    async with world.node() as node:
        found = await node.get(f"/internal/v1/blobs/{digest}")
        absent = await node.get(f"/internal/v1/blobs/{'0' * 64}")
        nonsense = await node.get("/internal/v1/blobs/..%2f..%2fplaza.db")
    assert found.content == bundle["model.onnx"]
    assert absent.status_code == 404
    assert nonsense.status_code in {404, 422}


async def test_an_upload_belongs_to_its_key(world, keys):
    begun = (await world.ask(keys["engineer"], "POST", "/api/v1/uploads")).json()["upload"]
    for method, path, more in (
        ("PUT", "/files/a.txt", {"content": b"x"}),
        ("POST", "/commit", {"json": {}}),
        ("DELETE", "", {}),
    ):
        answer = await world.ask(keys["other"], method, f"/api/v1/uploads/{begun}{path}", **more)
        assert answer.status_code == 404, (method, path)


async def test_an_abandoned_upload_is_gone(world, keys):
    begun = (await world.ask(keys["engineer"], "POST", "/api/v1/uploads")).json()["upload"]
    url = f"/api/v1/uploads/{begun}"
    assert (await world.ask(keys["engineer"], "DELETE", url)).status_code == 204
    assert (await world.ask(keys["engineer"], "DELETE", url)).status_code == 404


async def test_a_stream_is_counted_while_it_is_read(world, keys):
    """2 MiB are allowed; the sender says nothing of its length and never ends by itself."""
    begun = (await world.ask(keys["engineer"], "POST", "/api/v1/uploads")).json()["upload"]
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 65_536
            yield b"\0" * 65_536

    answer = await world.ask(
        keys["engineer"], "PUT", f"/api/v1/uploads/{begun}/files/model.onnx", content=endless()
    )

    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"
    assert sent <= (2 + 16 + 1) << 20, "the limit, and what is thrown away so that it can answer"


async def test_a_path_leads_nowhere_else(world, keys, tmp_path):
    begun = (await world.ask(keys["engineer"], "POST", "/api/v1/uploads")).json()["upload"]
    for path in ("..%2f..%2fescaped", "%2e%2e/escaped", "/etc/escaped", "a%00b", "C:%5cescaped"):
        url = f"/api/v1/uploads/{begun}/files/{path}"
        answer = await world.ask(keys["engineer"], "PUT", url, content=b"x")
        assert 400 <= answer.status_code < 500, path
    assert not list(tmp_path.rglob("*escaped*"))


async def test_a_bundle_that_is_none_is_refused_by_name(world, keys, make_bundle):
    bundle = make_bundle()
    bundle["plaza.yaml"] = b"schema: 1\nname: x\n"
    answer = await world.register(keys["engineer"], bundle)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_bundle"
    assert answer.json()["input"] == "signature"


class Suspicious:
    def examine(self, directory, manifest):
        return Examination(False, "it loops for ever", "cpu", "none", {}, 0, 0, "time", "again")


async def test_a_bundle_that_fails_its_examination_is_no_version(world, keys, make_bundle):
    world.parts.registrar._certifier = None
    world.parts.registrar._examiner = Suspicious()
    answer = await world.register(keys["engineer"], make_bundle())
    assert answer.status_code == 422
    assert "it loops for ever (rule time, node 'again')" in answer.json()["error"]
    assert (await world.ask(keys["engineer"], "GET", "/api/v1/models")).json()["items"] == []


class Unconfined:
    def examine(self, directory, manifest):
        raise SandboxUnavailable("this machine cannot confine a model that nobody knows")


async def test_without_a_sandbox_nothing_is_registered(world, keys, make_bundle):
    registrar = world.parts.registrar
    registrar._certifier, registrar._examiner = None, Unconfined()
    answer = await world.register(keys["engineer"], make_bundle())
    assert (answer.status_code, answer.json()["code"]) == (503, "sandbox_unavailable")
    assert "retry-after" not in answer.headers  # the machine will be no other in a second
    assert (await world.ask(keys["engineer"], "GET", "/api/v1/models")).json()["items"] == []


async def test_several_projects_need_a_name(world, keys, make_bundle):
    url = "/api/v1/organisations/acme/projects"
    await world.ask(world.operator, "POST", url, json={"name": "second"})
    answer = await world.register(keys["engineer"], make_bundle())
    assert (answer.status_code, answer.json()["input"]) == (422, "project")


async def test_other_organisations_do_not_see_a_private_model(world, keys, make_bundle):
    await world.register(keys["engineer"], make_bundle("secret"))
    stranger = (await world.organisation("globex", admin={"role": "admin"}))["admin"]
    for path in ("secret", "acme.main.secret"):
        answer = await world.ask(stranger, "GET", f"/api/v1/models/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert (await world.ask(stranger, "GET", "/api/v1/models")).json()["items"] == []


async def test_a_registration_is_acknowledged_when_every_replica_has_the_model(
    world, keys, make_bundle
):
    """Else who calls it next is told that there is no such model."""
    old = world.parts.feed.current.version
    await world.beat("r1", table=old)
    asked = asyncio.create_task(world.register(keys["engineer"], make_bundle("doubler")))
    while world.parts.feed.current.version == old:
        await asyncio.sleep(0.001)
    assert not (await asyncio.wait((asked,), timeout=0.05))[0]

    await world.beat("r1")

    answer = (await asked).json()
    assert (answer["published_on"], answer["waiting_for"]) == (["r1"], [])


async def test_a_registration_tells_who_has_not_the_model_yet(
    world, keys, make_bundle, monkeypatch
):
    monkeypatch.setattr(uploads, "PUBLISHED_WITHIN_S", 0.01)
    await world.beat("slow", table=world.parts.feed.current.version)

    answer = await world.register(keys["engineer"], make_bundle("doubler"))

    assert (answer.status_code, answer.json()["waiting_for"]) == (200, ["slow"])


@pytest.fixture
async def two_versions(world, keys, make_bundle):
    """Model id of `doubler` with versions 1 and 2; champion is 1."""
    first = (await world.register(keys["engineer"], make_bundle("doubler"))).json()
    await world.register(keys["engineer"], make_bundle("doubler"))
    return first["model"]


async def promote(world, keys, version=2, alias="champion"):
    url = f"/api/v1/models/doubler/aliases/{alias}"
    return await world.ask(keys["engineer"], "PUT", url, json={"version": version})


async def test_a_promotion_is_acknowledged_when_every_replica_has_published(
    world, keys, two_versions
):
    old = world.parts.feed.current.version
    for replica in ("r1", "r2"):
        await world.beat(replica, table=old, ready={two_versions: [1, 2]})
    asked = asyncio.create_task(promote(world, keys))
    while world.parts.feed.current.version == old:
        await asyncio.sleep(0.001)

    await world.beat("r1", ready={two_versions: [1, 2]})
    assert not asked.done()
    await world.beat("r2", ready={two_versions: [1, 2]})

    answer = await asked
    assert answer.status_code == 200
    assert answer.json()["published_on"] == ["r1", "r2"]
    assert answer.json()["waiting_for"] == []


async def test_a_promotion_that_not_all_have_published_says_so(
    world, keys, two_versions, monkeypatch
):
    monkeypatch.setattr(models, "PUBLISHED_WITHIN_S", 0.01)
    old = world.parts.feed.current.version
    await world.beat("slow", table=old, ready={two_versions: [1]})

    answer = await promote(world, keys)

    assert answer.status_code == 202
    assert answer.json()["waiting_for"] == ["slow"]
    shown = await world.ask(keys["engineer"], "GET", "/api/v1/models/doubler")
    assert shown.json()["aliases"]["champion"] == 2, "it is recorded all the same"


async def test_without_replicas_a_promotion_is_recorded_at_once(world, keys, two_versions):
    answer = await promote(world, keys)
    assert (answer.status_code, answer.json()["published_on"]) == (200, [])


async def test_rolling_back_does_not_need_mlflow(world, keys, two_versions):
    def gone():
        raise AssertionError("a promotion asked the tracker")

    world.parts.registrar.mirror.drain = gone
    assert (await promote(world, keys, 2)).status_code == 200
    assert (await promote(world, keys, 1)).status_code == 200


@pytest.mark.parametrize("alias", ["latest", "v3", "Champion", "a.b"])
async def test_aliases_that_could_mean_something_else_are_refused(world, keys, two_versions, alias):
    assert (await promote(world, keys, alias=alias)).status_code == 422


async def test_a_version_that_is_not_there_cannot_be_promoted(world, keys, two_versions):
    assert (await promote(world, keys, version=9)).status_code == 404


async def test_a_consumer_cannot_promote(world, keys, two_versions):
    url = "/api/v1/models/doubler/aliases/champion"
    answer = await world.ask(keys["consumer"], "PUT", url, json={"version": 2})
    assert answer.status_code == 403
