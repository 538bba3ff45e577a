"""A whole answer in one write is, byte for byte, what uvicorn makes of the two usual messages."""

import asyncio
import contextlib

import pytest
import uvicorn

from plaza_serving.rayapp import whole
from plaza_serving.reply import WHOLE

POST = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n\r\nabc"


class Answering:
    """Answers every request alike: whole where `whole` says so and the server can."""

    def __init__(self, status=200, headers=(), body=b"{}", *, at_once):
        self.status, self.body, self.at_once = status, body, at_once
        length = (b"content-length", b"%d" % len(body))
        self.headers = [(b"content-type", b"text/plain"), length, *headers]
        self.offered, self.sent = [], []

    async def __call__(self, scope, receive, send):
        whole.offer(scope, send)
        self.offered.append(WHOLE in scope)
        while (await receive()).get("more_body"):
            pass
        if self.at_once:
            self.sent.append(scope[WHOLE](self.status, self.headers, self.body))
            if self.sent[-1]:
                return
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


@contextlib.asynccontextmanager
async def serving(app):
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        date_header=False,
        timeout_keep_alive=0,  # it closes a connection once nothing more is to be answered
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def told(app, *requests):
    """All that a client reads that sends these bytes at once."""
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(requests))
        read = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    return read


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, (), b'{"a": 1}'),
        (200, (), b""),
        (429, ((b"retry-after", b"3"), (b"x-request-id", b"1")), b"{}"),
        (503, (), b"x" * 65_536),
        (200, (), b"x" * 3_000_000),
    ],
)
async def test_its_bytes_are_those_of_the_server(status, headers, body):
    answers = []
    for at_once in (True, False):
        app = Answering(status, headers, body, at_once=at_once)
        answers.append(await told(app, POST))
        assert app.offered == [True], "this release of uvicorn is built otherwise"
    assert app.sent == []
    assert answers[0] == answers[1]


async def test_requests_behind_one_another_are_answered_in_turn():
    app = Answering(at_once=True)
    read = await told(app, POST, POST, POST)
    assert app.sent == [True, True, True]
    assert read.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "request_", [POST.replace(b"POST", b"HEAD"), POST.replace(b"host: here", b"connection: close")]
)
async def test_what_is_rare_is_left_to_the_server(request_):
    asked, plain = (Answering(at_once=at_once) for at_once in (True, False))
    assert await told(asked, request_) == await told(plain, request_)
    assert asked.sent == [False]


async def test_a_header_cannot_end_the_head():
    app = Answering(200, ((b"x-name", b"a\r\nset-cookie: b"),), at_once=True)
    read = await told(app, POST)
    assert read.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in read


async def test_it_is_not_offered_behind_another_layer():
    scope = {}
    whole.offer(scope, lambda message: None)
    assert scope == {}
