"""An upload that dies on its way through control leaves no version, and is sent again in peace."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest
import uvicorn

from plaza_registry.blobs_s3 import S3Blobs
from tests.serving.control.conftest import open_world
from tests.serving.control.crashing import CHUNK, crash_everywhere, template


@pytest.fixture
def place(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def s3_stores(s3):
    def make():
        at = s3.place(f"{secrets.token_hex(4)}/")
        return lambda: S3Blobs(at)

    return make


class TestControlIsKilled:
    def test_with_bundles_on_disk(self, place):
        seen = crash_everywhere(place, template(place), 5)
        assert seen["refused"] >= 4
        assert seen["cleared"] >= 3

    def test_with_bundles_in_s3(self, place, s3):
        seen = crash_everywhere(place, template(place), 2, s3_stores(s3))
        assert seen["refused"] >= 1

    @pytest.mark.prove
    @pytest.mark.timeout(900)
    def test_at_a_hundred_points_on_disk(self, place, record_property):
        seen = crash_everywhere(place, template(place), 100)
        record_property("control, disk", seen)
        assert seen["refused"] >= 90

    @pytest.mark.prove
    @pytest.mark.timeout(900)
    def test_at_a_hundred_points_in_s3(self, place, s3, record_property):
        seen = crash_everywhere(place, template(place), 100, s3_stores(s3))
        record_property("control, s3", seen)
        assert seen["refused"] >= 80


@contextmanager
def listening(app):
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join()


class TestTheSenderDies:
    """A connection that ends anywhere in a file: what came of it is forgotten at once."""

    def cut(self, port, key, upload, sent, of):
        head = (
            f"PUT /api/v1/uploads/{upload}/files/weights.bin HTTP/1.1\r\nhost: x\r\n"
            f"authorization: Bearer {key}\r\ncontent-length: {of}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + bytes(sent))

    def test_at_any_byte(self, place):
        key = template(place)
        world = open_world(place)

        async def begin():
            return (await world.ask(key, "POST", "/api/v1/uploads")).json()["upload"]

        upload = asyncio.run(begin())
        folder = place / "uploads" / "open" / upload
        size = 3 << 20
        with listening(world.app) as port:
            for sent in (0, 1, CHUNK, (1 << 20) - 1, 1 << 20, (2 << 20) + 7, size - 1):
                self.cut(port, key, upload, sent, size)
            give_up = time.monotonic() + 10
            while any((folder / "parts").iterdir()) and time.monotonic() < give_up:
                time.sleep(0.02)
        assert [p for p in folder.rglob("*") if p.is_file()] == [folder / "owner.json"]
        again = f"/api/v1/uploads/{upload}/files/weights.bin"
        answer = asyncio.run(world.ask(key, "PUT", again, content=bytes(1000)))
        assert answer.json()["size"] == 1000
        world.parts.close_waits()
        world.parts.tenancy.close()
