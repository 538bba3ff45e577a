"""An upload belongs to one key, holds no more than a bundle may, and cannot change once claimed."""

import threading

import pytest

from plaza_core.errors import (
    InvalidBundle,
    NotFound,
    PayloadTooLarge,
    QuotaExceeded,
    Unavailable,
)
from plaza_core.principal import TenantScope
from plaza_core.testing import FakeClock
from plaza_registry.bundle import BundleLimits, read_bundle
from plaza_registry.uploads import Uploads
from tests.registry.making import ALICE, BOB, bundle_files

LIMITS = BundleLimits(total_bytes=1000, files=4)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def uploads(tmp_path, clock):
    return Uploads(tmp_path, clock, limits=LIMITS)


def test_a_bundle_arrives_file_by_file(uploads):
    upload = uploads.begin(ALICE)
    for path, content in bundle_files().items():
        entry = uploads.put(ALICE, upload, path, [content[:5], content[5:]])
        assert (entry.path, entry.size) == (path, len(content))
    with uploads.claim(ALICE, upload) as directory:
        assert {e.path for e in read_bundle(directory).files} == set(bundle_files()) - {"CARD.md"}
    assert not directory.exists()


def test_a_file_sent_again_replaces_the_first(uploads):
    upload = uploads.begin(ALICE)
    uploads.put(ALICE, upload, "labels.json", [bytes(900)])
    uploads.put(ALICE, upload, "labels.json", [b"{}"])
    uploads.put(ALICE, upload, "other.json", [bytes(998)])
    with uploads.claim(ALICE, upload) as directory:
        assert (directory / "labels.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "stranger",
    [BOB, TenantScope("org_a", "prj_a", "key_other"), TenantScope("org_b", None, "key_alice")],
)
def test_for_everybody_else_it_does_not_exist(uploads, stranger):
    upload = uploads.begin(ALICE)
    with pytest.raises(NotFound):
        uploads.put(stranger, upload, "labels.json", [b"{}"])
    with pytest.raises(NotFound), uploads.claim(stranger, upload):
        pass
    with pytest.raises(NotFound):
        uploads.abort(stranger, upload)
    uploads.put(ALICE, upload, "labels.json", [b"{}"])


@pytest.mark.parametrize("upload", ["", ".", "..", "../open", "up_x", "up_" + "0" * 17, "/etc"])
def test_names_that_are_no_upload(uploads, upload):
    with pytest.raises(NotFound):
        uploads.put(ALICE, upload, "labels.json", [b"{}"])


@pytest.mark.parametrize(
    "path", ["../x.json", "/x.json", "a/b/c.json", "owner", "x.pkl", ".x.json"]
)
def test_unsafe_paths_are_refused_before_a_byte_is_written(uploads, path):
    upload = uploads.begin(ALICE)
    with pytest.raises(InvalidBundle):
        uploads.put(ALICE, upload, path, [b"{}"])


def test_bytes_of_all_files_together_are_limited(uploads):
    upload = uploads.begin(ALICE)
    uploads.put(ALICE, upload, "a.json", [bytes(600)])
    with pytest.raises(PayloadTooLarge):
        uploads.put(ALICE, upload, "b.json", [bytes(300), bytes(101)])
    uploads.put(ALICE, upload, "b.json", [bytes(400)])


def test_the_limit_is_exact_while_files_arrive_together(uploads):
    upload = uploads.begin(ALICE)
    accepted = []
    start = threading.Barrier(4)

    def send(name):
        start.wait()
        try:
            accepted.append(uploads.put(ALICE, upload, name, [bytes(100)] * 4).size)
        except PayloadTooLarge:
            accepted.append(0)

    threads = [threading.Thread(target=send, args=(f"{n}.json",)) for n in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(accepted) <= 1000
    with uploads.claim(ALICE, upload) as directory:
        assert sum(p.stat().st_size for p in directory.iterdir()) == sum(accepted)


def test_the_number_of_files_is_limited(uploads):
    upload = uploads.begin(ALICE)
    for name in "abcd":
        uploads.put(ALICE, upload, f"{name}.json", [b"{}"])
    with pytest.raises(QuotaExceeded):
        uploads.put(ALICE, upload, "e.json", [b"{}"])
    uploads.put(ALICE, upload, "a.json", [b"[]"])


def test_a_sender_that_dies_leaves_nothing(uploads):
    def dying():
        yield bytes(900)
        raise ConnectionError

    upload = uploads.begin(ALICE)
    with pytest.raises(ConnectionError):
        uploads.put(ALICE, upload, "a.json", dying())
    uploads.put(ALICE, upload, "b.json", [bytes(1000)])
    with uploads.claim(ALICE, upload) as directory:
        assert [p.name for p in directory.iterdir()] == ["b.json"]


def test_a_late_write_cannot_change_what_was_claimed(uploads):
    upload = uploads.begin(ALICE)
    uploads.put(ALICE, upload, "labels.json", [b"before"])
    late = uploads.receive(ALICE, upload, "labels.json")
    late.__enter__().write(b"after")
    with uploads.claim(ALICE, upload) as directory:
        with pytest.raises(NotFound):
            late.__exit__(None, None, None)
        assert (directory / "labels.json").read_bytes() == b"before"


def test_only_one_claim_wins(uploads):
    upload = uploads.begin(ALICE)
    with uploads.claim(ALICE, upload):
        with pytest.raises(NotFound), uploads.claim(ALICE, upload):
            pass
        with pytest.raises(NotFound):
            uploads.put(ALICE, upload, "a.json", [b"{}"])


def test_a_wrong_bundle_consumes_the_upload(uploads):
    upload = uploads.begin(ALICE)
    with pytest.raises(InvalidBundle), uploads.claim(ALICE, upload) as directory:
        read_bundle(directory)
    with pytest.raises(NotFound):
        uploads.abort(ALICE, upload)


def test_a_commit_that_could_not_be_done_now_may_be_repeated(uploads):
    upload = uploads.begin(ALICE)
    uploads.put(ALICE, upload, "a.json", [b"{}"])
    with pytest.raises(Unavailable), uploads.claim(ALICE, upload):
        raise Unavailable("the database is away")
    with uploads.claim(ALICE, upload) as directory:
        assert (directory / "a.json").exists()


def test_abort(uploads, tmp_path):
    upload = uploads.begin(ALICE)
    uploads.put(ALICE, upload, "a.json", [b"{}"])
    uploads.abort(ALICE, upload)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["claimed", "open"]
    with pytest.raises(NotFound):
        uploads.abort(ALICE, upload)


def test_a_key_holds_a_few_uploads_at_a_time(tmp_path, clock):
    uploads = Uploads(tmp_path, clock, open_per_key=2)
    first = uploads.begin(ALICE)
    uploads.begin(ALICE)
    with pytest.raises(QuotaExceeded):
        uploads.begin(ALICE)
    uploads.begin(BOB)
    uploads.abort(ALICE, first)
    uploads.begin(ALICE)


def test_what_nobody_touches_expires(uploads, clock):
    idle, busy = uploads.begin(ALICE), uploads.begin(ALICE)
    clock.advance(3000)
    uploads.put(ALICE, busy, "a.json", [b"{}"])
    assert uploads.expire() == 0
    clock.advance(601)
    assert uploads.expire() == 1
    with pytest.raises(NotFound):
        uploads.abort(ALICE, idle)
    uploads.abort(ALICE, busy)


def test_a_restart_loses_no_finished_file(tmp_path, clock):
    before = Uploads(tmp_path, clock, limits=LIMITS)
    upload = before.begin(ALICE)
    before.put(ALICE, upload, "a.json", [bytes(700)])
    after = Uploads(tmp_path, clock, limits=LIMITS)
    with pytest.raises(PayloadTooLarge):
        after.put(ALICE, upload, "b.json", [bytes(301)])
    after.put(ALICE, upload, "b.json", [bytes(300)])
