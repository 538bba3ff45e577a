"""Registration happens whole or not at all; MLflow hears of it in order, sooner or later."""

import threading
from contextlib import nullcontext
from dataclasses import replace

import pytest

from plaza_core.errors import Conflict, InvalidBundle, InvalidInput, ModelNotFound, Unavailable
from plaza_core.table import Visibility
from plaza_core.testing import MemoryBlobs, MemoryTracker, TrustingExaminer
from plaza_registry.bundle import BundleLimits
from plaza_registry.mirror import Mirror
from plaza_registry.register import Registrar
from tests.registry.making import ALICE, BOB, bundle_files, write_bundle
from tests.registry.records import MemoryRecords


class Doubter(TrustingExaminer):
    def examine(self, directory, manifest):
        found = super().examine(directory, manifest)
        return replace(found, passed=False, reason="operator 'Evil' is not allowed")


class Meddler(TrustingExaminer):
    """Changes a file between the check and the storing."""

    def examine(self, directory, manifest):
        (directory / "labels.json").write_bytes(b'["two", "one"]')
        return super().examine(directory, manifest)


class MoodyTracker(MemoryTracker):
    """Fails as told: `down` for everything, `cross` for one model."""

    down = False
    cross = ""

    def apply(self, item):
        if self.down:
            raise Unavailable("MLflow is away")
        if item.payload["model"] == self.cross:
            raise Conflict("other content under this number")
        return super().apply(item)

    def heard(self):
        return [
            (i.kind, i.payload["model"], i.payload.get("alias"), i.payload["version"])
            for i in self.applied
        ]


@pytest.fixture
def parts():
    return MemoryBlobs(), MemoryRecords(), MoodyTracker()


@pytest.fixture
def registrar(parts):
    blobs, records, tracker = parts
    return Registrar(blobs, records, TrustingExaminer(), Mirror(records, tracker))


def register(registrar, directory, scope=ALICE, **names):
    choice = {"project": "vision", "visibility": Visibility.PROJECT} | names
    return registrar.register(scope, directory, **choice)


def test_a_bundle_becomes_version_1_and_champion(registrar, parts, tmp_path):
    blobs, records, tracker = parts
    done = register(registrar, write_bundle(tmp_path))
    assert (done.version.name, done.version.version) == ("doubler", 1)
    assert (done.created, done.tracked, done.examination.passed) == (True, True, True)
    entry = records.get(ALICE, "doubler")
    assert set(blobs.digests()) == {file.sha256 for file in entry.versions[0].files}
    model = done.version.model
    assert tracker.heard() == [("version", model, None, 1), ("alias", model, "champion", 1)]


def test_the_same_again_changes_nothing(registrar, parts, tmp_path):
    first = register(registrar, write_bundle(tmp_path))
    again = register(registrar, write_bundle(tmp_path, bundle_files(card="# Another card")))
    assert (again.created, again.version) == (False, first.version)
    assert len(parts[2].applied) == 2


def test_other_content_is_version_2_and_champion_stays(registrar, parts, tmp_path):
    register(registrar, write_bundle(tmp_path / "a"))
    second = register(registrar, write_bundle(tmp_path / "b", bundle_files(scale=2)))
    assert second.version.version == 2
    assert parts[1].get(ALICE, "doubler").aliases == {"champion": 1}


def test_a_name_of_ones_own(registrar, tmp_path):
    done = register(registrar, write_bundle(tmp_path), name="twice")
    assert done.version.name == "twice"
    with pytest.raises(InvalidInput):
        register(registrar, tmp_path, name="Not a name")


def test_what_fails_the_examination_leaves_nothing(parts, tmp_path):
    blobs, records, tracker = parts
    registrar = Registrar(blobs, records, Doubter(), Mirror(records, tracker))
    with pytest.raises(InvalidBundle, match="operator 'Evil'") as caught:
        register(registrar, write_bundle(tmp_path))
    assert caught.value.input == "model.onnx"
    assert (list(blobs.digests()), records.rows, tracker.applied) == ([], {}, [])


def test_a_file_changed_after_the_check_is_noticed(parts, tmp_path):
    blobs, records, tracker = parts
    registrar = Registrar(blobs, records, Meddler(), Mirror(records, tracker))
    with pytest.raises(InvalidBundle) as caught:
        register(registrar, write_bundle(tmp_path))
    assert caught.value.input == "labels.json"
    assert records.rows == {}


def test_limits_are_the_registrars(parts, tmp_path):
    blobs, records, tracker = parts
    small = Registrar(
        blobs,
        records,
        TrustingExaminer(),
        Mirror(records, tracker),
        limits=BundleLimits(total_bytes=50),
    )
    with pytest.raises(InvalidBundle, match="larger"):
        register(small, write_bundle(tmp_path))


class TestPromotion:
    def test_an_alias_moves_and_mlflow_hears_of_it(self, registrar, parts, tmp_path):
        register(registrar, write_bundle(tmp_path / "a"))
        register(registrar, write_bundle(tmp_path / "b", bundle_files(scale=2)))
        done = registrar.promote(ALICE, "doubler", "champion", 2)
        assert (done.alias, done.version, done.tracked) == ("champion", 2, True)
        assert done.model.aliases == {"champion": 2}
        assert parts[2].heard()[-1] == ("alias", done.model.id, "champion", 2)

    @pytest.mark.parametrize("alias", ["latest", "v2", "2", "Champion", ""])
    def test_an_alias_is_never_taken_for_a_version(self, registrar, tmp_path, alias):
        register(registrar, write_bundle(tmp_path))
        with pytest.raises(InvalidInput) as caught:
            registrar.promote(ALICE, "doubler", alias, 1)
        assert caught.value.input == "alias"

    def test_what_is_not_there(self, registrar, tmp_path):
        register(registrar, write_bundle(tmp_path))
        for scope, name, version in [
            (ALICE, "absent", 1),
            (ALICE, "doubler", 9),
            (BOB, "doubler", 1),
        ]:
            with pytest.raises(ModelNotFound):
                registrar.promote(scope, name, "champion", version)


class TestDraining:
    def test_registration_and_rollback_work_with_mlflow_down(self, registrar, parts, tmp_path):
        _, records, tracker = parts
        tracker.down = True
        assert register(registrar, write_bundle(tmp_path)).tracked is False
        assert registrar.promote(ALICE, "doubler", "champion", 1).tracked is False
        assert registrar.mirror.drain() is False
        assert len(records.outbox) == 3
        tracker.down = False
        assert registrar.mirror.drain() is True
        assert [item.id for item in tracker.applied] == [1, 2, 3]
        assert records.outbox == []

    def test_one_models_trouble_is_not_anothers(self, registrar, parts, tmp_path):
        _, records, tracker = parts
        tracker.cross = "mdl_org_a_doubler"
        crossed = register(registrar, write_bundle(tmp_path))
        assert crossed.why_not == "other content under this number"
        assert register(registrar, tmp_path, scope=BOB).tracked is True
        assert {item.payload["model"] for item in tracker.applied} == {"mdl_org_b_doubler"}
        assert [item.payload["model"] for item in records.outbox] == ["mdl_org_a_doubler"] * 2
        tracker.cross = ""
        assert registrar.mirror.drain() is True
        assert [item.id for item in tracker.applied] == [3, 4, 1, 2]

    def test_more_troubled_items_than_one_page(self, registrar, parts, tmp_path):
        tracker = parts[2]
        tracker.cross = "mdl_org_a_doubler"
        register(registrar, write_bundle(tmp_path))
        for _ in range(250):
            parts[1].set_alias(ALICE, "doubler", "champion", 1)
        register(registrar, tmp_path, scope=BOB)
        assert tracker.heard()[0][1] == "mdl_org_b_doubler"

    def test_applied_but_not_yet_marked_is_applied_once_more_without_harm(self, parts, tmp_path):
        blobs, records, tracker = parts

        class Forgetful(MemoryRecords):
            forget = True

            def done(self, item, number=None):
                if self.forget:
                    raise Unavailable("the database is away")
                super().done(item, number)

        records = Forgetful()
        registrar = Registrar(blobs, records, TrustingExaminer(), Mirror(records, tracker))
        assert register(registrar, write_bundle(tmp_path)).why_not == "the database is away"
        records.forget = False
        assert registrar.mirror.drain() is True
        assert [item.id for item in tracker.applied] == [1, 2]

    def test_while_another_process_tells_it_this_one_does_not(self, parts, tmp_path):
        blobs, records, tracker = parts
        taken = [nullcontext(False), nullcontext(True)]
        mirror = Mirror(records, tracker, turn=lambda _name: taken.pop(0))
        registrar = Registrar(blobs, records, TrustingExaminer(), mirror)
        made = register(registrar, write_bundle(tmp_path))
        assert (made.tracked, tracker.applied) == (False, [])
        assert registrar.mirror.drain() is True
        assert tracker.applied

    def test_two_drains_at_once_keep_the_order(self, registrar, parts, tmp_path):
        _, records, tracker = parts
        tracker.down = True
        register(registrar, write_bundle(tmp_path))
        for _ in range(50):
            records.set_alias(ALICE, "doubler", "champion", 1)
        tracker.down = False
        threads = [threading.Thread(target=registrar.mirror.drain) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [item.id for item in tracker.applied] == list(range(1, 53))
