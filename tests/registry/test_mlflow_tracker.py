"""Real MLflow: what the tracker writes is what an independent client, and its server, read."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

from plaza_core.errors import Conflict, Unavailable
from plaza_core.ports import OutboxItem
from plaza_core.table import Visibility
from plaza_core.testing import MemoryBlobs, TrustingExaminer
from plaza_registry.mlflow_tracker import DEFAULTS, MlflowTracker
from plaza_registry.register import Registrar
from tests.registry.making import ALICE, bundle_files, write_bundle
from tests.registry.records import MemoryRecords

pytestmark = [
    # mlflow 3.17.2 on SQLAlchemy 2.1: its own models use what 2.1 deprecates.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
]
DIGEST, OTHER, THIRD = "ab" * 32, "cd" * 32, "ef" * 32


class Items:
    """Outbox items about one model."""

    def __init__(self, model):
        self.model = model

    def version(self, number=1, digest=DIGEST, card="# Doubler"):
        names = {"organisation": "acme", "project": "vision", "name": f"name-of-{self.model}"}
        payload = {"model": self.model, "version": number, "digest": digest, "card": card}
        return OutboxItem(number, "version", payload | names | {"family": "tensor"})

    def alias(self, alias, number):
        payload = {"model": self.model, "alias": alias, "version": number}
        return OutboxItem(100, "alias", payload)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all tests, since making its tables takes seconds; each has its own model."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def tracker(uri):
    return MlflowTracker(uri)


@pytest.fixture(scope="module")
def reader(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def items(request):
    return Items(f"mdl_{request.node.name.replace('_', '')}")


def numbers(reader, items):
    return sorted(int(v.version) for v in reader.search_model_versions(f"name='{items.model}'"))


def test_a_version_as_mlflow_shows_it(tracker, reader, items):
    tracker.apply(items.version())
    model = reader.get_registered_model(items.model)
    assert model.tags == {
        "plaza.organisation": "acme",
        "plaza.project": "vision",
        "plaza.name": f"name-of-{items.model}",
    }
    (version,) = reader.search_model_versions(f"name='{items.model}'")
    assert (int(version.version), version.source) == (1, f"plaza://bundles/{DIGEST}")
    assert (version.status, version.run_id or None) == ("READY", None)
    assert version.description == "# Doubler"
    assert version.tags["plaza.digest"] == DIGEST
    assert version.tags["plaza.family"] == "tensor"
    assert version.tags["plaza.release"]


def test_it_is_found_by_wire_name_and_by_digest(tracker, reader, items):
    tracker.apply(items.version(digest=THIRD))
    (model,) = reader.search_registered_models(f"tags.`plaza.name` = 'name-of-{items.model}'")
    assert model.name == items.model
    (version,) = reader.search_model_versions(f"tags.`plaza.digest` = '{THIRD}'")
    assert version.name == items.model


def test_applying_again_changes_nothing(tracker, reader, items):
    for _ in range(3):
        tracker.apply(items.version())
        tracker.apply(items.alias("champion", 1))
    assert numbers(reader, items) == [1]
    assert reader.get_registered_model(items.model).aliases == {"champion": 1}


def test_aliases_follow(tracker, reader, items):
    tracker.apply(items.version(1))
    tracker.apply(items.version(2, OTHER))
    tracker.apply(items.alias("champion", 1))
    tracker.apply(items.alias("champion", 2))
    tracker.apply(items.alias("before-last", 1))
    found = reader.get_model_version_by_alias(items.model, "champion")
    assert found.tags["plaza.digest"] == OTHER
    assert int(reader.get_model_version_by_alias(items.model, "before-last").version) == 1


def test_a_gap_is_refused_and_leaves_nothing(tracker, reader, items):
    tracker.apply(items.version(1))
    with pytest.raises(Conflict, match="would not number"):
        tracker.apply(items.version(3, THIRD))
    assert numbers(reader, items) == [1]
    tracker.apply(items.version(2, OTHER))
    assert numbers(reader, items) == [1, 2]


def test_other_content_under_the_same_number_is_refused(tracker, reader, items):
    tracker.apply(items.version(1))
    with pytest.raises(Conflict, match="other content"):
        tracker.apply(items.version(1, OTHER))
    reader.create_model_version(items.model, "somewhere://else")
    with pytest.raises(Conflict, match="other content"):
        tracker.apply(items.version(2, OTHER))


def test_a_version_deleted_by_hand_is_reported_and_does_not_multiply(tracker, reader, items):
    tracker.apply(items.version(1))
    tracker.apply(items.version(2, OTHER))
    reader.delete_model_version(items.model, "2")
    for _ in range(3):
        with pytest.raises(Conflict):
            tracker.apply(items.version(2, OTHER))
    assert numbers(reader, items) == [1, 3]
    assert "plaza.digest" not in reader.get_model_version(items.model, "3").tags


def test_an_alias_of_what_mlflow_does_not_have(tracker, items):
    with pytest.raises(Conflict):
        tracker.apply(items.alias("champion", 1))


def test_an_unknown_kind(tracker, items):
    with pytest.raises(Conflict, match="unknown kind"):
        tracker.apply(OutboxItem(1, "rumour", {"model": items.model}))


def test_a_long_card_is_shortened_and_none_is_fine(tracker, reader, items):
    tracker.apply(items.version(1, card="y" * 200_000))
    tracker.apply(items.version(2, OTHER, card=""))
    first, second = (reader.get_model_version(items.model, n) for n in ("1", "2"))
    assert (len(first.description), second.description or "") == (1000, "")


@pytest.mark.parametrize("where", ["server", "embedded"])
def test_a_store_that_is_away_is_unavailable(tmp_path, items, where):
    (tmp_path / "file").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        gone = {
            "server": f"http://127.0.0.1:{free.getsockname()[1]}",
            "embedded": f"sqlite:///{tmp_path}/file/mlflow.db",
        }
        with pytest.raises(Unavailable) as caught:
            MlflowTracker(gone[where]).apply(items.version())
    assert caught.value.retry_after


def test_nothing_of_mlflow_is_imported_before_the_first_item():
    code = (
        "import sys, plaza_registry.mlflow_tracker as t, plaza_registry.register\n"
        "t.MlflowTracker('sqlite:///x.db')\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'mlflow']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def served(uri):
    """The real `mlflow server` on the same store; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        command, env=os.environ | DEFAULTS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)


def _wait_for(address, process):
    pause = threading.Event()
    deadline = time.monotonic() + 90  # it takes 5 s on an idle machine
    while time.monotonic() < deadline:
        assert process.poll() is None, "the MLflow server ended by itself"
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            return
        except OSError:
            pause.wait(0.1)
    raise AssertionError("the MLflow server did not come up")


def _get(address, path):
    with urllib.request.urlopen(f"{address}/api/2.0/mlflow/{path}", timeout=10) as answer:
        return json.load(answer)


@pytest.mark.timeout(150)
def test_the_server_on_the_same_store_lists_what_was_registered(tracker, tmp_path, served):
    registrar = Registrar(MemoryBlobs(), MemoryRecords(), TrustingExaminer(), tracker)
    choice = {"project": "vision", "visibility": Visibility.PROJECT}
    first = registrar.register(ALICE, write_bundle(tmp_path / "a"), **choice)
    second = registrar.register(ALICE, write_bundle(tmp_path / "b", bundle_files(2)), **choice)
    promoted = registrar.promote(ALICE, "doubler", "champion", 2)
    assert (first.tracked, second.tracked, promoted.tracked) == (True, True, True)

    shown = {
        model["name"]: model
        for model in _get(served, "registered-models/search?max_results=100")["registered_models"]
    }
    model = shown[first.version.model]
    assert [(a["alias"], int(a["version"])) for a in model["aliases"]] == [("champion", 2)]
    assert _sources(served, model["name"]) == {
        v.version.version: f"plaza://bundles/{v.version.digest}" for v in (first, second)
    }

    # The same tracker code, now through the server.
    remote, items = MlflowTracker(served), Items(first.version.model)
    remote.apply(items.version(3, THIRD))
    remote.apply(items.version(3, THIRD))
    remote.apply(items.alias("challenger", 3))
    with pytest.raises(Conflict):
        remote.apply(items.version(5, DIGEST))
    assert sorted(_sources(served, model["name"])) == [1, 2, 3]


def _sources(address, model):
    query = urllib.parse.urlencode({"filter": f"name='{model}'"})
    versions = _get(address, f"model-versions/search?{query}")["model_versions"]
    return {int(version["version"]): version["source"] for version in versions}
