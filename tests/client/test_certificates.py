"""Both clients' verbs of certificates, against the real admin API."""

from __future__ import annotations

import asyncio

import pytest

import plaza
from benchmarks import graphs
from tests.client.both import Blocking
from tests.client.sockets import serving
from tests.serving.control.conftest import open_world


@pytest.fixture(params=["sync", "async"])
def hub(request, tmp_path):
    (tmp_path / "hub").mkdir()
    world = open_world(tmp_path / "hub")
    with serving(world.app) as address, asyncio.Runner() as runner:
        if request.param == "sync":
            with plaza.Client(control_url=address, api_key=world.operator) as client:
                yield client
        else:
            client = plaza.AsyncClient(control_url=address, api_key=world.operator)
            yield Blocking(client, runner)
            runner.run(client.close())
    world.parts.close_waits()
    world.parts.tenancy.close()


def test_a_version_is_certified_and_its_certificates_are_read(hub, tmp_path):
    graph = graphs.tiny()
    hub.models.register(graph.write(tmp_path / "tiny"))
    name = graph.manifest["name"]
    made = hub.models.certify(name, 1, "cpu")
    assert (made.version, made.provider, made.passed) == (1, "cpu", True)
    assert made.pools[0]["pool"] == "main"
    (found,) = hub.models.certificates(name)
    assert found.environment == made.environment
    assert hub.models.certificates(name, version=1) == [found]
    with pytest.raises(plaza.PlazaError) as caught:
        hub.models.certify(name, 1, "cann")
    assert (caught.value.code, caught.value.input) == ("invalid_input", "provider")
