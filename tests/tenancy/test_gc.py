"""What may go, and what may never: versions past their retention, blobs that nobody counts on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plaza_core.errors import Conflict
from plaza_core.ids import Digest
from plaza_core.principal import Right, Role
from plaza_core.table import FileEntry
from plaza_core.testing import MemoryBlobs
from tests.tenancy.world import make_version

M = "detector"
DAY = 86_400_000_000


@pytest.fixture
def engineer(world, acme):
    scope = world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE)
    for digest in (1, 2, 3, 4):
        world.tenancy.records.add_version(scope, make_version(digest))
    return scope


def retired(world, scope, *versions):
    for version in versions:
        world.tenancy.lifecycle.retire(scope, M, version)


def gone(world, scope, keep_us=0):
    return [one.version for one in world.tenancy.collector.remove(scope, keep_us)]


def there(world, scope):
    return [v.version for v in reversed(world.tenancy.records.versions(scope, M))]


def test_what_was_retired_long_enough_goes_and_nothing_else(world, engineer):
    retired(world, engineer, 2)
    world.clock.advance(86_400)
    retired(world, engineer, 3)
    assert gone(world, engineer, 2 * DAY) == []
    assert [one.version for one in world.tenancy.collector.removable(engineer, DAY)] == [2]
    assert there(world, engineer) == [1, 2, 3, 4], "looking removes nothing"
    assert gone(world, engineer, DAY) == [2]
    assert there(world, engineer) == [1, 3, 4]


def test_the_newest_stays_so_that_no_number_is_given_twice(world, engineer):
    retired(world, engineer, 3, 4)
    assert gone(world, engineer) == [3]
    again, created = world.tenancy.records.add_version(engineer, make_version(3))
    assert (again.version, created) == (5, True)


def test_what_went_is_told_in_the_trail(world, acme, engineer):
    retired(world, engineer, 2)
    gone(world, engineer)
    (told,) = world.tenancy.audit.list(acme, limit=1)
    assert told.action == "model.gc"
    assert told.after["removed"] == [
        {"model": "acme.main.detector", "version": 2, "digest": f"{2:064x}"}
    ]


def test_a_key_of_one_project_clears_away_in_it_only(world, acme, engineer):
    world.tenancy.projects.create(acme, "lab")
    lab = world.scope_of("acme", Role.ENGINEER, Right.MODELS_WRITE, project="lab")
    retired(world, engineer, 2)
    assert world.tenancy.collector.removable(lab, 0) == gone(world, lab) == []
    assert gone(world, engineer) == [2]


def test_bytes_are_those_that_no_other_version_of_the_organisation_has(world, engineer):
    shared = FileEntry(path="tokenizer.json", size=700, sha256=Digest("f" * 64))
    for digest in (11, 12):
        new = make_version(digest)
        files = [*new.files, shared]
        world.tenancy.records.add_version(engineer, with_files(new, files))
    world.tenancy.records.add_version(engineer, make_version(13))
    retired(world, engineer, 5)
    assert [one.size for one in world.tenancy.collector.removable(engineer, 0)] == [10]
    retired(world, engineer, 6)
    assert [one.size for one in world.tenancy.collector.removable(engineer, 0)] == [710, 10]


def with_files(new, files, **more):
    fields = {name: getattr(new, name) for name in new.__slots__} | {"files": files, **more}
    return type(new)(**fields)


# ── blobs ────────────────────────────────────────────────────────────────────────────────────────
def put(blobs, text):
    return blobs.put([text], limit=1000)[0]


def version_of(digest, sha256, **more):
    new = make_version(digest, name=more.pop("name", M))
    return with_files(new, [FileEntry(path="model.onnx", size=4, sha256=sha256)], **more)


def test_a_blob_goes_when_no_organisation_names_it(world, acme, engineer):
    blobs = MemoryBlobs()
    city = world.organisation("city")
    one, both = put(blobs, b"one"), put(blobs, b"both")
    records, sweep = world.tenancy.records, world.tenancy.collector.sweep
    records.add_version(engineer, version_of(21, one))
    records.add_version(engineer, version_of(22, both))
    records.add_version(engineer, make_version(23))
    records.add_version(city, version_of(21, both))
    assert sweep(blobs) == 0
    retired(world, engineer, 5, 6)
    assert sweep(blobs) == 0, "a retired version can be restored"
    gone(world, engineer)
    assert sweep(blobs) == 1
    assert set(blobs.digests()) == {both}


def test_a_registration_that_died_keeps_its_blobs_for_a_day(world, engineer):
    blobs = MemoryBlobs()
    digest = Digest("0" * 64)
    hold = world.tenancy.records.hold(engineer, [digest := put(blobs, b"left over")])
    world.clock.advance(86_399)
    assert world.tenancy.collector.sweep(blobs) == 0
    world.clock.advance(1)
    with pytest.raises(Conflict, match="took too long"):
        world.tenancy.records.add_version(engineer, version_of(31, digest, hold=hold))
    assert world.tenancy.collector.sweep(blobs) == 1
    assert list(blobs.digests()) == []


def test_a_hold_is_for_the_files_it_names_and_ends_with_the_version(world, engineer):
    blobs = MemoryBlobs()
    digest = put(blobs, b"held")
    hold = world.tenancy.records.hold(engineer, [put(blobs, b"other")])
    with pytest.raises(Conflict):
        world.tenancy.records.add_version(engineer, version_of(31, digest, hold=hold))
    hold = world.tenancy.records.hold(engineer, [digest])
    world.tenancy.records.add_version(engineer, version_of(31, digest, hold=hold))
    with pytest.raises(Conflict):
        world.tenancy.records.add_version(engineer, version_of(32, digest, hold=hold))


class SlowBlobs(MemoryBlobs):
    """Stops in the middle of a deletion until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.deleting, self.go_on = threading.Event(), threading.Event()

    def delete(self, sha256):
        self.deleting.set()
        assert self.go_on.wait(20)
        super().delete(sha256)


def test_a_registration_that_begins_while_its_blob_is_being_deleted_waits_for_it(world, engineer):
    """The hold comes after the deletion, so the blob is put again: in no order is it missing."""
    blobs = SlowBlobs()
    digest = put(blobs, b"again")
    with ThreadPoolExecutor(2) as pool:
        sweeping = pool.submit(world.tenancy.collector.sweep, blobs)
        assert blobs.deleting.wait(20)
        holding = pool.submit(world.tenancy.records.hold, engineer, [digest])
        with pytest.raises(TimeoutError):
            holding.result(0.3)
        blobs.go_on.set()
        hold = holding.result(20)
        put(blobs, b"again")
        assert sweeping.result(20) == 1
    world.tenancy.records.add_version(engineer, version_of(41, digest, hold=hold))
    assert world.tenancy.collector.sweep(blobs) == 0
    assert blobs.exists(digest)


def test_registrations_and_sweeps_side_by_side_never_lose_a_named_blob(world, engineer):
    """The same few contents come, are retired, go and come again, while sweeps run all the time."""
    blobs, over, swept = MemoryBlobs(), threading.Event(), 0

    def sweep():
        nonlocal swept
        # SQLite lets writers in by chance: who never pauses can keep all others out.
        while not over.wait(0.005):
            world.tenancy.collector.remove(engineer, 0)
            swept += world.tenancy.collector.sweep(blobs)

    with ThreadPoolExecutor(4) as pool:
        sweeping = pool.submit(sweep)
        working = [pool.submit(come_and_go, world, engineer, blobs, f"m{n}") for n in range(3)]
        for worker in working:
            worker.result(100)
        over.set()
        sweeping.result(20)
    assert swept
    named = {
        file.sha256
        for model in world.tenancy.records.visible(engineer)
        for version in model.versions
        for file in version.files
        if model.name != M
    }
    assert named <= set(blobs.digests())


def come_and_go(world, scope, blobs, name):
    """Register versions of the same contents again and again; what is named must be there."""
    for turn in range(8):
        texts = [bytes([turn % 3]), b"t%d" % (turn % 2)]
        hold = world.tenancy.records.hold(scope, [_sha(text) for text in texts])
        files = [
            FileEntry(path=f"{n}.bin", size=len(text), sha256=put(blobs, text))
            for n, text in enumerate(texts)
        ]
        new = with_files(make_version(100 + turn, name=name), files, hold=hold)
        made, _ = world.tenancy.records.add_version(scope, new)
        assert all(blobs.exists(file.sha256) for file in files)
        if made.version > 2:
            world.tenancy.lifecycle.retire(scope, name, made.version - 1)


def _sha(text):
    return MemoryBlobs().put([text], limit=1000)[0]
