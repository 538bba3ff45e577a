"""Certificates over the admin API: made by registration and on demand, shown with their pools."""

from __future__ import annotations

import pytest

from plaza_core.certificate import NodeCertificate
from plaza_core.pools import Pool
from plaza_core.table import Heartbeat
from plaza_core.testing import FakeClock
from plaza_core.testing_certificates import SOMEWHERE, TrustingCertifier
from plaza_serving.control.shapes.certificates import CertifyOn
from tests.serving.control.conftest import bundle, open_world

OPENVINO = SOMEWHERE.model_copy(update={"provider": "openvino"})
MODEL = "/api/v1/models/doubler"
CERTIFY = f"{MODEL}/versions/1/certify"


def opened(directory, **certifier):
    made = TrustingCertifier(FakeClock(), (SOMEWHERE, OPENVINO), **certifier)
    pools = [Pool(name="ov", provider="openvino")]
    return open_world(directory, certifier=made, pools=pools), made


@pytest.fixture
def hub(tmp_path):
    world, certifier = opened(tmp_path)
    world.certifier = certifier
    yield world
    world.parts.close_waits()
    world.parts.tenancy.close()


async def registered(world, **manifest):
    keys = await world.organisation(
        "acme", engineer={"role": "engineer"}, reader={"role": "consumer"}
    )
    files = bundle()
    if manifest:
        import yaml

        found = yaml.safe_load(files["plaza.yaml"])
        files["plaza.yaml"] = yaml.safe_dump({**found, **manifest}).encode()
    done = await world.register(keys["engineer"], files)
    assert done.status_code == 200, done.text
    return keys, done.json()


async def listed(world, key, **query):
    answer = await world.ask(key, "GET", f"{MODEL}/certificates", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_registration_certifies_for_every_pool_and_looks_at_the_bundle_once_for_each(hub):
    keys, done = await registered(hub)
    assert [provider for _, provider in hub.certifier.asked] == ["cpu", "openvino"]
    found = await listed(hub, keys["reader"])
    assert {one["provider"]: one["passed"] for one in found} == {"cpu": True, "openvino": True}
    assert {one["digest"] for one in found} == {done["digest"]}
    assert done["examination"]["provider"] == "cpu"
    paths = {one["provider"]: [pool["path"] for pool in one["pools"]] for one in found}
    assert paths == {
        "cpu": ["/v2/models/acme.main.doubler"],
        "openvino": ["/pools/ov/v2/models/acme.main.doubler"],
    }


async def test_a_model_is_shown_with_its_address_in_each_pool(hub):
    keys, _ = await registered(hub)
    hub.parts.fleet.hear(
        Heartbeat(
            replica="a", pool="ov", table_version="1", ready={}, failed={}, environment=OPENVINO
        )
    )
    found = (await hub.ask(keys["reader"], "GET", MODEL)).json()["addresses"]
    path = "/v2/models/acme.main.doubler"
    assert [(one["pool"], one["path"], one["live"]) for one in found] == [
        ("main", path, False),
        ("ov", f"/pools/ov{path}", True),
    ]
    assert found[0]["grpc_port"] == hub.parts.settings.grpc_port


async def test_a_manifest_may_name_the_providers_it_is_for(hub):
    keys, _ = await registered(hub, providers=["cpu"])
    assert [one["provider"] for one in await listed(hub, keys["reader"])] == ["cpu"]
    refused = await hub.ask(keys["engineer"], "POST", CERTIFY, json={"provider": "openvino"})
    assert (refused.status_code, refused.json()["input"]) == (422, "provider")


async def test_one_that_fails_in_the_main_pool_is_not_registered(tmp_path):
    world, certifier = opened(tmp_path, refuses={"cpu": "it crashed"})
    keys = await world.organisation("acme", engineer={"role": "engineer"})
    refused = await world.register(keys["engineer"], bundle())
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_bundle")
    assert "it crashed" in refused.json()["error"]
    assert [provider for _, provider in certifier.asked] == ["cpu"], "no further pool is asked"
    world.parts.close_waits()
    world.parts.tenancy.close()


async def test_one_that_fails_in_a_further_pool_is_kept_out_of_that_only(tmp_path):
    world, certifier = opened(tmp_path, refuses={"openvino": "its answers differ"})
    keys, _ = await registered(world)
    found = {one["provider"]: one for one in await listed(world, keys["engineer"])}
    assert found["cpu"]["passed"]
    assert (found["openvino"]["reason"], found["openvino"]["pools"]) == ("its answers differ", [])
    certifier.refuses.clear()
    made = await world.ask(keys["engineer"], "POST", CERTIFY, json={"provider": "openvino"})
    assert (made.status_code, made.json()["passed"]) == (200, True)
    assert made.json()["pools"][0]["pool"] == "ov"
    assert all(one["passed"] for one in await listed(world, keys["engineer"]))
    world.parts.close_waits()
    world.parts.tenancy.close()


async def test_a_pool_is_live_for_a_certificate_once_a_replica_of_that_environment_beats(hub):
    keys, _ = await registered(hub)
    beat = Heartbeat(
        replica="ov-1",
        pool="ov",
        table_version=hub.parts.feed.current.version,
        ready={},
        failed={},
        environment=OPENVINO,
    )
    async with hub.node() as node:
        sent = await node.post("/internal/v1/heartbeats", json=beat.model_dump())
        assert sent.status_code == 200
    live = {one["provider"]: one["pools"][0]["live"] for one in await listed(hub, keys["reader"])}
    assert live == {"cpu": False, "openvino": True}


async def test_replicas_hear_of_a_certificate_before_its_answer_leaves(hub):
    keys, _ = await registered(hub)
    before = hub.parts.feed.current.version
    await hub.ask(keys["engineer"], "POST", CERTIFY, json={"provider": "cpu"})
    assert hub.parts.feed.current.version != before


async def test_a_replica_tells_what_it_found_where_it_runs(hub):
    keys, done = await registered(hub)
    upgraded = SOMEWHERE.model_copy(update={"runtime": "onnxruntime 2"})
    hub.certifier.environments["cpu"] = upgraded
    made = hub.certifier.certify(None, None, done["digest"], "cpu")
    body = NodeCertificate(model=done["model"], version=1, certificate=made)
    async with hub.node() as node:
        path = "/internal/v1/certificates"
        told = await node.post(path, json=body.model_dump(mode="json"))
        assert told.status_code == 200, told.text
        other = body.model_copy(update={"version": 7})
        assert (await node.post(path, json=other.model_dump(mode="json"))).status_code == 404
    found = await listed(hub, keys["reader"])
    runtimes = {one["runtime"]: one["made_by"] for one in found if one["provider"] == "cpu"}
    assert runtimes["onnxruntime 2"] == "node"
    assert len(runtimes) == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CERTIFY.replace("/1/", "/7/"), {"provider": "cpu"}, 404),
        (CERTIFY, {"provider": "cann"}, 422),
        (CERTIFY, {}, 422),
    ],
)
async def test_what_cannot_be_certified(hub, path, body, status):
    keys, _ = await registered(hub)
    assert (await hub.ask(keys["engineer"], "POST", path, json=body)).status_code == status
    assert (await hub.ask(keys["reader"], "POST", path, json=body)).status_code == 403


async def test_another_examination_is_the_main_pools_certificate(hub):
    keys, _ = await registered(hub)
    before = len(hub.certifier.asked)
    again = await hub.ask(keys["engineer"], "POST", f"{MODEL}/versions/1/examine")
    assert again.status_code == 200, again.text
    assert len(hub.certifier.asked) == before + 1
    entries = hub.parts.tenancy.table().models[0].versions[0].certificates
    assert {one.provider for one in entries} == {"cpu", "openvino"}


def test_the_example_of_the_description_fits():
    (example,) = CertifyOn.model_config["json_schema_extra"]["examples"]
    assert CertifyOn(**example)
