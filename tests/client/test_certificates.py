"""Both clients' verbs of certificates, against the real admin API."""

from __future__ import annotations

import pytest

import plaza
from benchmarks import graphs
from tests.client.real import real_control


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "hub") as world:
        yield world


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
