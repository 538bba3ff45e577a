"""One suite for every BlobStore; then what only a directory can get wrong."""

import hashlib
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput, NotFound, PayloadTooLarge, Unavailable
from plaza_core.ids import Digest
from plaza_core.testing import MemoryBlobs
from plaza_registry.blobs import LocalBlobs

ABSENT = Digest("0" * 64)


@pytest.fixture(params=["local", "memory"])
def blobs(request, tmp_path):
    return LocalBlobs(tmp_path) if request.param == "local" else MemoryBlobs()


class TestEveryStore:
    def test_what_is_put_is_read(self, blobs):
        digest, size = blobs.put([b"one ", b"", b"two"], limit=7)
        assert (digest, size) == (hashlib.sha256(b"one two").hexdigest(), 7)
        assert blobs.exists(digest)
        with blobs.open(digest) as file:
            assert file.read() == b"one two"

    def test_twice_is_once(self, blobs):
        first, _ = blobs.put([b"same"], limit=10)
        second, _ = blobs.put([b"sa", b"me"], limit=10)
        assert first == second
        assert list(blobs.digests()) == [first]

    def test_nothing_is_a_blob_too(self, blobs):
        digest, size = blobs.put([], limit=0)
        assert (digest, size) == (hashlib.sha256().hexdigest(), 0)

    def test_limit_one_step_each_side(self, blobs):
        assert blobs.put([b"12345"], limit=5)[1] == 5
        with pytest.raises(PayloadTooLarge):
            blobs.put([b"12345", b"6"], limit=5)
        assert len(list(blobs.digests())) == 1

    def test_the_limit_stops_an_endless_sender(self, blobs):
        sent = 0

        def endless():
            nonlocal sent
            while True:
                sent += 1000
                yield bytes(1000)

        with pytest.raises(PayloadTooLarge):
            blobs.put(endless(), limit=5500)
        assert sent == 6000

    def test_an_upload_that_dies_leaves_nothing(self, blobs):
        def dying():
            yield b"half"
            raise ConnectionError

        with pytest.raises(ConnectionError):
            blobs.put(dying(), limit=100)
        assert list(blobs.digests()) == []
        assert not blobs.exists(Digest(hashlib.sha256(b"half").hexdigest()))

    def test_absent(self, blobs):
        assert not blobs.exists(ABSENT)
        with pytest.raises(NotFound):
            blobs.open(ABSENT)
        blobs.delete(ABSENT)

    def test_delete(self, blobs):
        digest, _ = blobs.put([b"x"], limit=1)
        blobs.delete(digest)
        assert not blobs.exists(digest)
        assert list(blobs.digests()) == []

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    @given(st.lists(st.binary(max_size=50), max_size=5))
    def test_any_cutting_of_any_content(self, blobs, chunks):
        whole = b"".join(chunks)
        digest, size = blobs.put(chunks, limit=len(whole))
        assert (digest, size) == (hashlib.sha256(whole).hexdigest(), len(whole))
        with blobs.open(digest) as file:
            assert file.read() == whole


class TestDirectory:
    def test_fan_out_of_two_levels(self, tmp_path):
        digest, _ = LocalBlobs(tmp_path).put([b"x"], limit=1)
        assert (tmp_path / digest[:2] / digest[2:4] / digest).read_bytes() == b"x"

    def test_another_process_sees_it(self, tmp_path):
        digest, _ = LocalBlobs(tmp_path).put([b"x"], limit=1)
        assert list(LocalBlobs(tmp_path).digests()) == [digest]

    @pytest.mark.parametrize("name", ["../../etc/passwd", "ab", "G" * 64, "incoming"])
    def test_only_digests_name_blobs(self, tmp_path, name):
        blobs = LocalBlobs(tmp_path)
        for act in (blobs.open, blobs.exists, blobs.delete):
            with pytest.raises(InvalidInput):
                act(Digest(name))

    def test_damage_is_noticed_and_healed_by_writing_again(self, tmp_path):
        blobs = LocalBlobs(tmp_path, verify=True)
        digest, _ = blobs.put([b"precious"], limit=100)
        path = tmp_path / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        path.write_bytes(b"Precious")
        with pytest.raises(Unavailable, match="damaged"):
            blobs.open(digest)
        blobs.put([b"precious"], limit=100)
        with blobs.open(digest) as file:
            assert file.read() == b"precious"

    def test_a_killed_writer_leaves_nothing_visible(self, tmp_path):
        writer = (
            "import os, signal, sys, pathlib\n"
            "from plaza_registry.blobs import LocalBlobs\n"
            "def chunks():\n"
            "    yield b'x' * 100_000\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "LocalBlobs(pathlib.Path(sys.argv[1])).put(chunks(), limit=1_000_000)\n"
        )
        done = subprocess.run([sys.executable, "-c", writer, str(tmp_path)], check=False)
        assert done.returncode == -signal.SIGKILL
        blobs = LocalBlobs(tmp_path)
        assert list(blobs.digests()) == []
        (left,) = (tmp_path / "incoming").iterdir()
        written_us = left.stat().st_mtime_ns // 1000
        assert blobs.remove_abandoned(before_unix_us=written_us) == 0
        assert blobs.remove_abandoned(before_unix_us=written_us + 1) == 1
        assert not any((tmp_path / "incoming").iterdir())
