"""A bundle on the node is complete and intact, or it is fetched again, or it is refused."""

import contextlib
import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle
from plaza_core.ids import Digest
from plaza_core.table import FileEntry, VersionEntry
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


def test_a_bundle_is_fetched_once(tmp_path):
    store = Store()
    cache = BundleCache(tmp_path, store.open_blob)
    place = cache.fetch(entry())
    assert {p: (place / p).read_bytes() for p in FILES} == FILES
    assert cache.fetch(entry()) == place
    assert store.fetched == len(FILES)


def test_replicas_that_fetch_together_never_take_a_copy_away_from_one_another(tmp_path):
    start, missing = threading.Barrier(8), []

    def replica():
        cache = BundleCache(tmp_path, Store().open_blob)
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
    cache = BundleCache(tmp_path, store.open_blob)
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
        BundleCache(directory, Store(flip).open_blob).fetch(entry())
    assert not [p for p in directory.iterdir() if p.is_dir()]


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"x"])
def test_a_short_or_long_file_is_refused(tmp_path, spoil):
    with pytest.raises(InvalidBundle):
        BundleCache(tmp_path, Store(spoil).open_blob).fetch(entry())
