"""Real MLflow, embedded and as a server: what the tracker writes is what stock clients read.

The same stories are told of the twin in memory, as far as it remembers what they are about.
"""

import socket
import subprocess
import sys

import pytest

from plaza_core.errors import Conflict, NotFound, Unavailable
from plaza_core.ports import OutboxItem
from plaza_core.testing import MemoryTracker
from plaza_registry.mlflow_tracker import MlflowTracker

pytestmark = [
    # mlflow 3.17.2 on SQLAlchemy 2.1: its own models use what 2.1 deprecates.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.timeout(240),
]
DIGEST, OTHER, THIRD = "ab" * 32, "cd" * 32, "ef" * 32
EXAMINED = {"provider": "cpu", "runtime": "1.31.1", "run_us": 90, "peak_bytes": 4096, "nodes": {}}


class Items:
    """Outbox items about one model."""

    def __init__(self, model):
        self.model = model
        self._id = 0

    def version(self, number=1, digest=DIGEST, card="# Doubler", **more):
        names = {"organisation": "acme", "project": "vision", "name": f"name-of-{self.model}"}
        about = {"version": number, "digest": digest, "card": card, "family": "tensor"}
        return self._item("version", about | names | more)

    def alias(self, alias, number):
        return self._item("alias", {"alias": alias, "version": number})

    def state(self, number, state):
        return self._item("state", {"version": number, "state": state})

    def about(self, **more):
        return self._item("model", more)

    def _item(self, kind, payload):
        self._id += 1
        return OutboxItem(self._id, kind, {"model": self.model} | payload)


@pytest.fixture(scope="module", params=["embedded", "server"])
def uri(request, tmp_path_factory):
    """One store for all tests, since making its tables takes seconds; each has its own model."""
    if request.param == "server":
        return request.getfixturevalue("mlflow_server").address
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def tracker(uri):
    return MlflowTracker(uri)


@pytest.fixture(scope="module")
def reader(uri):
    """Stock MLflow, which knows nothing of Plaza."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def items(request):
    name = "".join(c for c in request.node.name if c.isalnum())
    return Items(f"mdl_{name}")


def numbers(reader, items):
    return sorted(int(v.version) for v in reader.search_model_versions(f"name='{items.model}'"))


def test_a_version_as_mlflow_shows_it(tracker, reader, items):
    tracker.apply(items.version(examination=EXAMINED, state="examined"))
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
    assert version.tags.pop("plaza.release")
    assert version.tags == {
        "plaza.version": "1",
        "plaza.digest": DIGEST,
        "plaza.family": "tensor",
        "plaza.state": "examined",
        "plaza.examination.provider": "cpu",
        "plaza.examination.runtime": "1.31.1",
        "plaza.examination.run_us": "90",
        "plaza.examination.peak_bytes": "4096",
    }


def test_it_leads_to_the_run_that_trained_it_and_back(tracker, reader, items):
    experiment = reader.create_experiment(f"experiment-of-{items.model}")
    run = reader.create_run(experiment).info.run_id
    reader.log_metric(run, "accuracy", 0.97)
    tracker.apply(items.version(lineage={"run": run, "metrics": {"f1 @ 0.5": 0.75}}))
    version = reader.get_model_version(items.model, "1")
    assert version.run_id == run
    assert version.tags["plaza.experiment"] == experiment
    assert version.tags["plaza.metric.accuracy"] == "0.97"
    assert version.tags["plaza.metric.f1 _ 0.5"] == "0.75"
    back = reader.get_run(run).data.tags[f"plaza.version.{items.model}"]
    assert back == f"acme.vision.name-of-{items.model}/1"


def test_a_run_that_mlflow_does_not_have_is_told_and_holds_nothing_up(tracker, reader, items):
    tracker.apply(items.version(lineage={"run": "f" * 32, "experiment": "elsewhere"}))
    version = reader.get_model_version(items.model, "1")
    assert version.run_id in {None, ""}
    assert version.tags["plaza.run"] == "f" * 32
    assert version.tags["plaza.experiment"] == "elsewhere"


def test_it_is_found_by_wire_name_and_by_digest(tracker, reader, items):
    tracker.apply(items.version(digest=THIRD))
    (model,) = reader.search_registered_models(f"tags.`plaza.name` = 'name-of-{items.model}'")
    assert model.name == items.model
    found = reader.search_model_versions(f"tags.`plaza.digest` = '{THIRD}'")
    assert items.model in [version.name for version in found]


def test_applying_again_changes_nothing_and_mends_what_was_changed(tracker, reader, items):
    for _ in range(3):
        tracker.apply(items.version())
        tracker.apply(items.alias("champion", 1))
        reader.set_model_version_tag(items.model, "1", "plaza.family", "changed by hand")
        reader.update_model_version(items.model, "1", "changed by hand")
    tracker.apply(items.version())
    assert numbers(reader, items) == [1]
    assert tracker.shown([items.model]) == {items.model: {"champion": 1}}
    version = reader.get_model_version(items.model, "1")
    assert (version.tags["plaza.family"], version.description) == ("tensor", "# Doubler")


def test_aliases_follow_and_go(tracker, reader, items):
    tracker.apply(items.version(1))
    tracker.apply(items.version(2, OTHER))
    assert tracker.apply(items.alias("champion", 1)) == 1
    assert tracker.apply(items.alias("champion", 2)) == 2
    tracker.apply(items.alias("before-last", 1))
    found = reader.get_model_version_by_alias(items.model, "champion")
    assert found.tags["plaza.digest"] == OTHER
    assert tracker.shown([items.model]) == {items.model: {"champion": 2, "before-last": 1}}
    assert tracker.apply(items.alias("before-last", None)) is None
    assert tracker.apply(items.alias("before-last", None)) is None
    assert tracker.shown([items.model]) == {items.model: {"champion": 2}}


def test_the_state_of_a_version_is_a_tag(tracker, reader, items):
    tracker.apply(items.version(state="examined"))
    tracker.apply(items.state(1, "retired"))
    assert reader.get_model_version(items.model, "1").tags["plaza.state"] == "retired"


def test_tags_of_a_model_come_and_go_and_others_stay(tracker, reader, items):
    tracker.apply(items.version())
    reader.set_registered_model_tag(items.model, "of-mlflow", "stays")
    tracker.apply(items.about(tags={"task": "detect", "team": "roads"}, visibility="public"))
    tracker.apply(items.about(tags={"task": "count"}, description="Counts cars."))
    model = reader.get_registered_model(items.model)
    told = {name: text for name, text in model.tags.items() if name.startswith("plaza.tag.")}
    assert told == {"plaza.tag.task": "count"}
    assert (model.tags["of-mlflow"], model.tags["plaza.visibility"]) == ("stays", "public")
    assert model.description == "Counts cars."


def test_a_card_corrected_later_is_the_description(tracker, reader, items):
    tracker.apply(items.version(card="first draft"))
    payload = {"version": 1, "card": "corrected", "metrics": {"map": 0.5}}
    tracker.apply(items._item("card", payload))
    version = reader.get_model_version(items.model, "1")
    assert (version.description, version.tags["plaza.metric.map"]) == ("corrected", "0.5")
    assert version.tags["plaza.digest"] == DIGEST


def test_what_somebody_registered_there_by_hand_only_shifts_the_numbers(tracker, reader, items):
    tracker.apply(items.version(1))
    reader.create_model_version(items.model, "s3://elsewhere/model")
    tracker.apply(items.version(2, OTHER))
    tracker.apply(items.version(2, OTHER))
    assert tracker.apply(items.alias("champion", 2)) == 3
    assert numbers(reader, items) == [1, 2, 3]
    assert [tracker.version_of(items.model, n) for n in (1, 2, 3, 4)] == [1, None, 2, None]
    found = reader.get_model_version_by_alias(items.model, "champion")
    assert found.tags["plaza.digest"] == OTHER


def test_a_version_deleted_by_hand_is_made_again(tracker, reader, items):
    tracker.apply(items.version(1))
    tracker.apply(items.version(2, OTHER))
    reader.delete_model_version(items.model, "2")
    with pytest.raises(NotFound):
        tracker.apply(items.alias("champion", 2))
    for _ in range(3):
        tracker.apply(items.version(2, OTHER))
    assert numbers(reader, items) == [1, 3]
    assert tracker.apply(items.alias("champion", 2)) == 3


def test_other_content_under_the_same_version_is_refused(tracker, items):
    tracker.apply(items.version(1))
    with pytest.raises(Conflict, match="other content"):
        tracker.apply(items.version(1, OTHER))


def test_a_version_written_by_an_older_release_is_known(tracker, reader, items):
    reader.create_registered_model(items.model)
    source = f"plaza://bundles/{DIGEST}"
    reader.create_model_version(items.model, source, tags={"plaza.digest": DIGEST})
    tracker.apply(items.version(1))
    assert numbers(reader, items) == [1]
    assert tracker.version_of(items.model, 1) == 1


def test_what_is_not_there_is_not_found(tracker, items):
    for item in (items.alias("champion", 1), items.state(1, "retired"), items.about(tags={})):
        with pytest.raises(NotFound):
            tracker.apply(item)
    assert tracker.shown([items.model]) == {}


def test_a_later_version_does_not_bring_a_deleted_model_back_alone(tracker, reader, items):
    tracker.apply(items.version(1))
    reader.delete_registered_model(items.model)
    with pytest.raises(NotFound):
        tracker.apply(items.version(2, OTHER))
    assert tracker.shown([items.model]) == {}
    tracker.apply(items.version(2, OTHER, first=True))  # the oldest that the hub still has
    assert numbers(reader, items) == [1]
    assert tracker.version_of(items.model, 1) == 2


def test_many_models_are_looked_at_in_one_go(tracker, items):
    several = [Items(f"{items.model}{n}") for n in range(5)]
    for one in several:
        tracker.apply(one.version())
        tracker.apply(one.alias("champion", 1))
    wanted = [one.model for one in several]
    assert tracker.shown([*wanted, "mdl_absent"]) == {name: {"champion": 1} for name in wanted}


def test_an_unknown_kind(tracker, items):
    with pytest.raises(Conflict, match="unknown kind"):
        tracker.apply(OutboxItem(1, "rumour", {"model": items.model}))


def test_a_long_card_is_shortened_and_none_is_fine(tracker, reader, items):
    tracker.apply(items.version(1, card="y" * 200_000))
    tracker.apply(items.version(2, OTHER, card=""))
    first, second = (reader.get_model_version(items.model, n) for n in ("1", "2"))
    assert (len(first.description), second.description or "") == (1000, "")


def test_the_twin_in_memory_tells_the_same_of_aliases_and_numbers(tracker, reader, items):
    twin = MemoryTracker()
    for one in (tracker, twin):
        one.apply(items.version(1))
    reader.create_model_version(items.model, "s3://elsewhere/model")
    twin.models[items.model].add(None)
    for one in (tracker, twin):
        one.apply(items.version(2, OTHER))
        one.apply(items.alias("champion", 2))
        one.apply(items.alias("spare", 1))
    reader.delete_model_version(items.model, "1")
    twin.models[items.model].delete(1)
    assert twin.shown([items.model]) == tracker.shown([items.model]) == {
        items.model: {"champion": 3}
    }  # fmt: skip
    for number in range(1, 5):
        assert twin.version_of(items.model, number) == tracker.version_of(items.model, number)
    for one in (tracker, twin):
        with pytest.raises(NotFound):
            one.apply(items.alias("champion", 1))


@pytest.mark.parametrize("where", ["server", "embedded"])
def test_a_store_that_is_away_is_unavailable(tmp_path, where):
    (tmp_path / "file").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        gone = {
            "server": f"http://127.0.0.1:{free.getsockname()[1]}",
            "embedded": f"sqlite:///{tmp_path}/file/mlflow.db",
        }
        with pytest.raises(Unavailable) as caught:
            MlflowTracker(gone[where]).apply(Items("mdl_1").version())
    assert caught.value.retry_after


def test_nothing_of_mlflow_is_imported_before_the_first_item():
    code = (
        "import sys, plaza_registry.mlflow_tracker as t, plaza_registry.register\n"
        "t.MlflowTracker('sqlite:///x.db')\n"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'mlflow']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
