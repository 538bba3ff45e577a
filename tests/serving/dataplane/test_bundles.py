"""A bundle on the node is complete and intact, or it is fetched again, or it is refused."""

import contextlib
import hashlib
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, Unavailable
from plaza_core.ids import Digest
from plaza_core.table import FileEntry, VersionEntry
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.bundles import BundleCache
from tests.serving.dataplane.world import make_manifest

FILES = {"model.onnx": b"onnx" * 300, "assets/labels.txt": b"car\nbus\n"}


def entry():
    files = [
        FileEntry(path=p, size=len(b), sha256=Digest(hashlib.sha256(b).hexdigest()))
        for p, b in FILES.items()
    ]
    return VersionEntry(version=1, digest=Digest("d" * 64), manifest=make_manifest(), files=files)


class Store:
    def __init__(self, spoil=lambda data: data):
        self.fetched = 0
        self._spoil = spoil
        self._content = {hashlib.sha256(b).hexdigest(): b for b in FILES.values()}

    @contextlib.contextmanager
    def open_blob(self, sha256):
        self.fetched += 1
        data = self._spoil(self._content[sha256])
        yield iter([data[:7], data[7:]])


def cache_in(directory, store, limit_bytes=1 << 20, clock=None):
    return BundleCache(
        directory, store.open_blob, limit_bytes=limit_bytes, clock=clock or FakeClock()
    )


def test_a_bundle_is_fetched_once(tmp_path):
    store = Store()
    cache = cache_in(tmp_path, store)
    place = cache.fetch(entry())
    assert {p: (place / p).read_bytes() for p in FILES} == FILES
    assert cache.fetch(entry()) == place
    assert store.fetched == len(FILES)


def test_replicas_that_fetch_together_never_take_a_copy_away_from_one_another(tmp_path):
    start, missing = threading.Barrier(8), []

    def replica():
        cache = cache_in(tmp_path, Store())
        start.wait()
        place = cache.fetch(entry())
        missing.extend(1 for _ in range(300) if not (place / "model.onnx").exists())

    threads = [threading.Thread(target=replica) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not missing


def test_a_bad_copy_on_the_node_is_replaced(tmp_path):
    store = Store()
    cache = cache_in(tmp_path, store)
    (cache.fetch(entry()) / "model.onnx").write_bytes(b"onnx" * 299 + b"onnX")
    assert (cache.fetch(entry()) / "model.onnx").read_bytes() == FILES["model.onnx"]
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["d" * 64]


@given(at=st.integers(0, 1199), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(tmp_path_factory, at, bit):
    def flip(data):
        spoilt = bytearray(data)
        spoilt[at % len(spoilt)] ^= 1 << bit
        return bytes(spoilt)

    directory = tmp_path_factory.mktemp("cache")
    with pytest.raises(InvalidBundle, match="digest"):
        cache_in(directory, Store(flip)).fetch(entry())
    assert not [p for p in directory.iterdir() if p.is_dir()]


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"x"])
def test_a_short_or_long_file_is_refused(tmp_path, spoil):
    with pytest.raises(InvalidBundle):
        cache_in(tmp_path, Store(spoil)).fetch(entry())


class Many:
    """Bundles of one file of 1,000 bytes each, and the store that has them."""

    SIZE = 1000

    def __init__(self):
        self.fetched = []

    def entry(self, number):
        content = bytes([number]) * self.SIZE
        sha256 = Digest(hashlib.sha256(content).hexdigest())
        file = FileEntry(path="model.onnx", size=self.SIZE, sha256=sha256)
        manifest = make_manifest()
        return VersionEntry(version=1, digest=Digest(sha256), manifest=manifest, files=[file])

    @contextlib.contextmanager
    def open_blob(self, sha256):
        number = next(n for n in range(50) if self.entry(n).files[0].sha256 == sha256)
        self.fetched.append(number)
        yield iter([bytes([number]) * self.SIZE])


def held(directory):
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


class TestTheBound:
    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def store(self):
        return Many()

    def used(self, cache, store, clock, *numbers):
        for number in numbers:
            clock.advance(1)
            cache.fetch(store.entry(number))
            cache.release(store.entry(number))

    def test_what_was_used_longest_ago_leaves_first(self, tmp_path, store, clock):
        cache = cache_in(tmp_path, store, limit_bytes=3 * Many.SIZE, clock=clock)
        self.used(cache, store, clock, 1, 2, 3, 1, 4)
        assert held(tmp_path) == 3 * Many.SIZE
        self.used(cache, store, clock, 1, 3, 4)
        assert store.fetched == [1, 2, 3, 4]
        self.used(cache, store, clock, 2)
        assert store.fetched == [1, 2, 3, 4, 2]

    @given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
    def test_the_bound_holds_whatever_is_used(self, tmp_path_factory, numbers, room):
        directory, clock, store = tmp_path_factory.mktemp("bound"), FakeClock(), Many()
        cache = cache_in(directory, store, limit_bytes=room * Many.SIZE, clock=clock)
        for number in numbers:
            self.used(cache, store, clock, number)
            assert held(directory) <= room * Many.SIZE

    def test_an_open_bundle_stays_whatever_comes(self, tmp_path, store, clock):
        cache = cache_in(tmp_path, store, limit_bytes=2 * Many.SIZE, clock=clock)
        place = cache.fetch(store.entry(1))
        self.used(cache, store, clock, 2, 3, 4, 5)
        assert (place / "model.onnx").exists()
        cache.release(store.entry(1))
        self.used(cache, store, clock, 6, 7)
        assert not place.exists()

    def test_a_bundle_that_another_replica_has_open_stays(self, tmp_path, store, clock):
        one, two = (cache_in(tmp_path, store, limit_bytes=1500, clock=clock) for _ in range(2))
        place = one.fetch(store.entry(1))
        self.used(two, store, clock, 2, 3)
        assert (place / "model.onnx").exists()
        one.release(store.entry(1))
        self.used(two, store, clock, 4)
        assert not place.exists()

    def test_opened_twice_it_is_closed_twice(self, tmp_path, store, clock):
        cache = cache_in(tmp_path, store, limit_bytes=Many.SIZE, clock=clock)
        place = cache.fetch(store.entry(1))
        cache.fetch(store.entry(1))
        cache.release(store.entry(1))
        self.used(cache, store, clock, 2)
        assert place.exists()
        cache.release(store.entry(1))
        self.used(cache, store, clock, 3)
        assert not place.exists()

    def test_all_are_open_and_one_more_comes(self, tmp_path, store, clock, caplog):
        cache = cache_in(tmp_path, store, limit_bytes=Many.SIZE, clock=clock)
        places = [cache.fetch(store.entry(number)) for number in (1, 2, 3)]
        assert all((place / "model.onnx").exists() for place in places)
        assert "more than the cache may" in caplog.text

    def test_a_fetch_that_fails_holds_nothing(self, tmp_path, clock):
        class Away:
            @contextlib.contextmanager
            def open_blob(self, sha256):
                raise Unavailable("control is away")
                yield

        cache = cache_in(tmp_path, Away(), clock=clock)
        with pytest.raises(Unavailable):
            cache.fetch(Many().entry(1))
        assert [p for p in tmp_path.iterdir() if p.is_dir()] == []
        assert cache._uses == {}

    def test_a_replica_that_is_killed_leaves_no_lock_and_no_garbage(self, tmp_path, store, clock):
        """Once with a bundle open, once in the middle of filling another."""

        class Dying(Many):
            @contextlib.contextmanager
            def open_blob(self, sha256):
                if sha256 == self.entry(2).files[0].sha256:
                    os.kill(os.getpid(), signal.SIGKILL)
                with super().open_blob(sha256) as chunks:
                    yield chunks

        child = os.fork()
        if not child:
            dying = cache_in(tmp_path, Dying(), limit_bytes=2 * Many.SIZE, clock=clock)
            dying.fetch(store.entry(1))
            dying.fetch(store.entry(2))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 2
        cache = cache_in(tmp_path, store, limit_bytes=2 * Many.SIZE, clock=clock)
        self.used(cache, store, clock, 3, 4)
        names = {p.name for p in tmp_path.iterdir() if p.is_dir()}
        assert names == {store.entry(3).digest, store.entry(4).digest}
        assert held(tmp_path) == 2 * Many.SIZE

    def test_eviction_and_fetching_at_once(self, tmp_path, clock):
        """Eight replicas, room for two bundles, five wanted: nobody loses what he has open."""
        lost, start = [], threading.Barrier(8)

        def replica(seed):
            store = Many()
            cache = cache_in(tmp_path, store, limit_bytes=2 * Many.SIZE, clock=clock)
            start.wait()
            for step in range(40):
                number = (seed * 7 + step * 3) % 5
                place = cache.fetch(store.entry(number))
                seen = {(place / "model.onnx").read_bytes() for _ in range(5)}
                lost.extend(seen - {bytes([number]) * Many.SIZE})
                cache.release(store.entry(number))

        threads = [threading.Thread(target=replica, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not lost
        cache = cache_in(tmp_path, Many(), limit_bytes=2 * Many.SIZE, clock=clock)
        self.used(cache, Many(), clock, 6)
        assert held(tmp_path) <= 2 * Many.SIZE
