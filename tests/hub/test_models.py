"""From an engineer's directory to traffic, and back, without a failed request."""

import threading

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

import plaza
from benchmarks import graphs
from tests.hub.conftest import register
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

X = np.ones((1, 4), np.float32)


def test_a_registered_model_answers_under_all_its_names(hub, organisation):
    name, _, client = organisation
    directory = graphs.tiny(seed=1).write(hub.models / f"{name}-own")
    done = client.models.register(directory, name="own", visibility="project")
    assert (done.version, done.created, done.tracked) == (1, True, True)
    assert done.examination["passed"]
    for wire in ("own", "main.own", f"{name}.main.own"):
        until(lambda wire=wire: client.infer(wire, {"x": X}))


def test_the_same_bundle_again_is_the_same_version(hub, organisation):
    name, _, client = organisation
    directory = graphs.tiny(seed=2).write(hub.models / f"{name}-again")
    first = client.models.register(directory, name="again")
    second = client.models.register(directory, name="again")
    assert (second.version, second.digest, second.created) == (1, first.digest, False)


def test_a_promotion_and_a_rollback_under_traffic_fail_nothing(hub, organisation):
    name, _, client = organisation
    for seed in (3, 4):
        directory = graphs.tiny(seed=seed).write(hub.models / f"{name}-{seed}")
        client.models.register(directory, name="swap")
    until(lambda: client.infer("swap", {"x": X}))
    expected = {
        v: until(lambda v=v: client.infer("swap", {"x": X}, version=v))["y"] for v in (1, 2)
    }
    seen, wrong, stop = [], [], threading.Event()

    def call():
        while not stop.is_set():
            try:
                answer = client.infer("swap", {"x": X})
            except plaza.PlazaError as error:
                wrong.append(error)
            else:
                seen.append(answer.version)
                if not np.allclose(answer["y"], expected[answer.version], atol=1e-6):
                    wrong.append(answer)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for version in (2, 1, 2):
            moved = client.models.promote("swap", version)
            assert not moved.waiting_for
            assert client.infer("swap", {"x": X}).version == version
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert set(seen) == {1, 2}


def test_mlflow_shows_versions_tags_and_aliases(hub, organisation):
    name, _, client = organisation
    directory = graphs.tiny(seed=5).write(hub.models / f"{name}-tracked")
    done = client.models.register(directory, name="tracked")
    uri = f"sqlite:///{hub.state_dir}/mlflow.db"
    mlflow = MlflowClient(uri, uri)
    version = mlflow.get_model_version(done.model, "1")
    assert version.tags["plaza.digest"] == done.digest
    assert version.tags["plaza.family"] == "tensor"
    aliased = until(lambda: mlflow.get_registered_model(done.model).aliases or False)
    assert {alias: int(version) for alias, version in aliased.items()} == {"champion": 1}


def test_a_bundle_that_is_none_is_refused_with_the_file_named(hub, organisation):
    name, _, client = organisation
    directory = graphs.tiny().write(hub.models / f"{name}-broken")
    (directory / "model.onnx").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(plaza.PlazaError) as refused:
        client.models.register(directory, name="broken")
    assert refused.value.code == "invalid_bundle"
    assert refused.value.status == 422


def test_a_model_of_another_family_is_refused_at_its_endpoint(hub, organisation):
    *_, client = organisation
    with pytest.raises(plaza.PlazaError) as refused:
        client.classify(["hello"], model="tiny")
    assert (refused.value.status, refused.value.code) == (422, "invalid_input")
    register(hub, "tiny", graphs.tiny())
