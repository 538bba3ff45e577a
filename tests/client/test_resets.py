"""Connections that really break, under clients that send again only what is safe."""

import socket
import struct
import threading
from contextlib import contextmanager

import numpy as np
import pytest

import plaza

X = {"x": np.zeros((1, 2), np.float32)}


class Counter:
    """A server on a real socket that heeds Idempotency-Key, and breaks the connection after it has
    read and done the first `breaks` requests."""

    def __init__(self, breaks):
        self.breaks, self.received, self.done = breaks, 0, {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(lines.get(b"content-length", 0)):
            body += connection.recv(65536)
        self.received += 1
        name = lines.get(b"idempotency-key", f"nameless {self.received}".encode())
        self.done.setdefault(name, len(self.done) + 1)
        if self.received <= self.breaks:
            # Closing with this set sends a reset instead of an end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        connection.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def counting(breaks):
    counter = Counter(breaks)
    thread = threading.Thread(target=counter.serve)
    thread.start()
    try:
        yield counter
    finally:
        counter.close()
        thread.join()


class TestResets:
    @pytest.fixture
    def pace(self, request, time):
        return time.pace(request.node.callspec.params["connect"])

    def test_a_write_whose_answer_was_lost_is_done_once(self, connect, pace):
        with counting(breaks=1) as server:
            hub = connect(control_url=server.address, api_key="plz_test", pace=pace)
            hub.keys.revoke("acme", "k1")
        assert server.received == 2
        assert len(server.done) == 1

    def test_a_hub_that_goes_on_breaking_is_unreachable(self, connect, pace):
        with counting(breaks=9) as server:
            hub = connect(control_url=server.address, api_key="plz_test", pace=pace)
            with pytest.raises(plaza.Unreachable):
                hub.keys.revoke("acme", "k1")
        assert (server.received, len(server.done)) == (2, 1)

    def test_an_inference_without_a_name_is_not_done_twice(self, connect, pace):
        with counting(breaks=1) as server:
            hub = connect(url=server.address, api_key="plz_test", pace=pace)
            with pytest.raises(plaza.Unreachable):
                hub.infer("cars", X)
        assert server.received == 1
