"""One suite for every BlobStore; then what only a directory, or only S3, can get wrong."""

import hashlib
import io
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput, NotFound, PayloadTooLarge, Unavailable
from plaza_core.ids import Digest
from plaza_core.testing import MemoryBlobs
from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import PART_BYTES, S3Blobs
from plaza_registry.s3 import S3Place, connections

ABSENT = Digest("0" * 64)


@pytest.fixture(params=["memory", "local", "s3"])
def blobs(request, tmp_path):
    if request.param == "s3":
        return S3Blobs(request.getfixturevalue("s3").place(secrets.token_hex(4) + "/"))
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

    def test_a_sender_of_garbage_is_told_his_own_error(self, blobs):
        def failing():
            yield b"half"
            raise ValueError("the sender's")

        with pytest.raises(ValueError, match="sender"):
            blobs.put(failing(), limit=100)

    def test_it_can_be_asked_whether_it_works(self, blobs):
        blobs.check()

    def test_nothing_is_abandoned_after_orderly_work(self, blobs):
        blobs.put([b"x"], limit=1)
        with pytest.raises(PayloadTooLarge):
            blobs.put([b"xy"], limit=1)
        assert blobs.remove_abandoned(before_unix_us=2**62) == 0
        assert len(list(blobs.digests())) == 1

    @pytest.mark.parametrize("name", ["../../etc/passwd", "ab", "G" * 64, "incoming", ""])
    def test_only_digests_name_blobs(self, blobs, name):
        for act in (blobs.open, blobs.exists, blobs.delete):
            with pytest.raises(InvalidInput):
                act(Digest(name))

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

    def test_damage_is_noticed_and_healed_by_writing_again(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        digest, _ = blobs.put([b"precious"], limit=100)
        path = tmp_path / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        path.write_bytes(b"Precious")
        with pytest.raises(Unavailable, match="damaged"), blobs.open(digest) as file:
            file.read()
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

    def test_a_place_that_cannot_be_written_to_says_so(self, tmp_path):
        blobs = LocalBlobs(tmp_path)
        (tmp_path / "incoming").rmdir()
        with pytest.raises(Unavailable) as caught:
            blobs.check()
        assert caught.value.retry_after == 5


class TestDamage:
    """Where the last block is held back: nobody can take damaged content for whole."""

    @pytest.mark.parametrize("size", [1, 999, 1 << 20, (1 << 20) + 1, 3 << 20])
    def test_content_comes_in_any_pieces(self, tmp_path, size):
        content = secrets.token_bytes(size)
        blobs = LocalBlobs(tmp_path)
        digest, _ = blobs.put([content], limit=size)
        with blobs.open(digest) as file:
            pieces = [file.read(7), file.read(100_000), file.read(), file.read(1)]
        assert b"".join(pieces) == content

    @pytest.mark.parametrize("size", [1, 999, 1 << 20, (1 << 20) + 1, 3 << 20])
    def test_the_end_of_damaged_content_never_comes(self, tmp_path, size):
        blobs = LocalBlobs(tmp_path)
        digest, _ = blobs.put([bytes(size)], limit=size)
        path = tmp_path / digest[:2] / digest[2:4] / digest
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.seek(size // 3)
            file.write(b"\1")
        given = 0
        with blobs.open(digest) as stream, pytest.raises(Unavailable):
            while chunk := stream.read(65_536):
                given += len(chunk)
        assert given < size


class TestS3:
    @pytest.fixture
    def place(self, s3):
        return s3.place(f"{secrets.token_hex(4)}/")

    def objects(self, s3, place):
        folder = s3.directory / place.bucket / place.prefix
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    def test_large_content_goes_up_in_parts(self, s3, place):
        content = secrets.token_bytes(PART_BYTES + 1)
        blobs = S3Blobs(place)
        pieces = [content[i : i + 700_000] for i in range(0, len(content), 700_000)]
        digest, size = blobs.put(pieces, limit=len(content))
        assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
        with blobs.open(digest) as file:
            assert file.read() == content
        assert self.objects(s3, place) == [f"sha256/{digest}"]

    def test_two_prefixes_are_two_stores(self, s3, place):
        digest, _ = S3Blobs(place).put([b"x"], limit=1)
        other = S3Blobs(s3.place(f"{secrets.token_hex(4)}/"))
        assert not other.exists(digest)
        assert list(other.digests()) == []

    def test_what_else_lies_in_the_bucket_is_not_ours(self, s3, place):
        blobs = S3Blobs(place)
        digest, _ = blobs.put([b"x"], limit=1)
        place.client().put_object(
            place.bucket, f"{place.prefix}sha256/readme.txt", io.BytesIO(b"hello"), 5
        )
        assert list(blobs.digests()) == [digest]

    def test_damage_is_noticed_and_healed_by_writing_again(self, place):
        blobs = S3Blobs(place)
        digest, _ = blobs.put([b"precious"], limit=100)
        place.client().put_object(
            place.bucket, f"{place.prefix}sha256/{digest}", io.BytesIO(b"Precious"), 8
        )
        with pytest.raises(Unavailable, match="damaged"), blobs.open(digest) as file:
            file.read()
        blobs.put([b"precious"], limit=100)
        with blobs.open(digest) as file:
            assert file.read() == b"precious"

    def test_a_server_that_spoils_what_it_is_given_publishes_nothing(self, s3, place):
        http = connections()
        inner = http.urlopen

        def spoiling(method, url, **more):
            if method == "PUT" and "incoming" in url and more.get("body"):
                # As if the bytes had changed after the server checked them.
                answer = inner(method, url, **more)
                where = s3.directory / url.split("?")[0].partition(str(s3.port) + "/")[2]
                where.write_bytes(b"Precious")
                return answer
            return inner(method, url, **more)

        http.urlopen = spoiling
        with pytest.raises(Unavailable, match="send it again"):
            S3Blobs(place, http=http).put([b"precious"], limit=100)
        assert self.objects(s3, place) == []

    def test_unfinished_parts_are_found_and_removed_later(self, s3, place):
        client = place.client()
        key = f"{place.prefix}incoming/dead"
        upload = client._create_multipart_upload(place.bucket, key, {})
        client._upload_part(place.bucket, key, bytes(5 << 20), None, upload, 1)
        client.put_object(place.bucket, key + "2", io.BytesIO(b"x"), 1)
        blobs = S3Blobs(place)
        assert blobs.remove_abandoned(before_unix_us=1) == 0
        assert blobs.remove_abandoned(before_unix_us=2**60) == 2
        assert blobs.remove_abandoned(before_unix_us=2**60) == 0
        assert self.objects(s3, place) == []

    def test_the_operators_probe(self, s3, place):
        S3Blobs(place).probe()
        assert self.objects(s3, place) == []

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"secret_key": "another-secret"}, "refuses the hub's keys"),
            ({"access_key": "SOMEBODYELSE"}, "refuses the hub's keys"),
            ({"bucket": "nobody"}, "bucket of the blob store does not exist"),
        ],
    )
    def test_a_wrong_setting_is_told_without_its_value(self, place, wrong, reason):
        import dataclasses

        blobs = S3Blobs(dataclasses.replace(place, **wrong))
        for act in (blobs.check, blobs.probe, lambda: blobs.put([b"x"], limit=1)):
            with pytest.raises(Unavailable, match=reason) as caught:
                act()
            assert not any(value in caught.value.message for value in wrong.values())


class TestS3Away:
    """Nobody answers, or somebody answers nonsense: Unavailable with a time to come back."""

    def acts(self, blobs):
        yield blobs.check
        yield lambda: blobs.put([b"x"], limit=1)
        yield lambda: blobs.open(ABSENT)
        yield lambda: blobs.exists(ABSENT)
        yield lambda: blobs.delete(ABSENT)
        yield lambda: list(blobs.digests())
        yield lambda: blobs.remove_abandoned(0)

    def place(self, port):
        return S3Place(
            "plaza", "", f"http://127.0.0.1:{port}", "us-east-1", "AKIDEXAMPLE", "s" * 16
        )

    def test_nobody_listens(self):
        with socket.socket() as bound:  # not listening: connections are refused at once
            bound.bind(("127.0.0.1", 0))
            for act in self.acts(S3Blobs(self.place(bound.getsockname()[1]))):
                with pytest.raises(Unavailable) as caught:
                    act()
                assert caught.value.retry_after == 5
                assert caught.value.message == "the blob store cannot be reached now"

    def test_somebody_listens_and_never_answers(self, monkeypatch):
        """Each try is given up; what is done under a lock cannot be held for ever."""
        monkeypatch.setattr("plaza_registry.s3._READ_S", 0.05)
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            for act in self.acts(S3Blobs(self.place(deaf.getsockname()[1]))):
                begun = time.monotonic()
                with pytest.raises(Unavailable):
                    act()
                assert time.monotonic() - begun < 3

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<xml>",
            b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
            b"no http at all\r\n\r\n",
        ],
        ids=["no S3", "slow down", "cut off", "no HTTP"],
    )
    def test_somebody_answers_nonsense(self, answer):
        with nonsense(answer) as port:
            blobs = S3Blobs(self.place(port))
            with pytest.raises(Unavailable):
                blobs.put([b"x"], limit=1)
            with pytest.raises(Unavailable), blobs.open(ABSENT) as file:
                file.read()
            with pytest.raises(Unavailable):
                list(blobs.digests())


@contextmanager
def nonsense(answer):
    """A server that gives the same bytes to everybody, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(0.2)
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()
