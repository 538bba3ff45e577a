"""Whoever is at the other end of the wire cannot tell our protocol from uvicorn's own."""

import asyncio
import gc
import logging

import pytest
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plaza_core.settings import Settings
from plaza_serving.doors.exchange import Watch
from plaza_serving.doors.http import HttpDoor
from plaza_serving.rayapp import protocol
from tests.serving.doors.small_hub import SmallHub
from tests.serving.doors.small_models import stock as stock_models
from tests.serving.rayapp.wire import App, Line, connected, ours, serving, settled, stock, told


def asks(target: bytes, headers: bytes = b"host: here\r\n", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, headers)


GET = asks(b"/x?a=%20b&c", b"Host: here\r\nX-One: 1\r\nx-one: 2\r\n")
POST = asks(b"/x", b"host: here\r\ncontent-length: 3\r\n", b"POST") + b"abc"
CHUNKED = asks(b"/x", b"transfer-encoding: chunked\r\n", b"POST")
HUGE = asks(b"/x", b"content-length: 200000\r\n", b"POST") + b"x" * 200_000
EXPECTS = asks(b"/x", b"expect: 100-continue\r\ncontent-length: 1\r\n", b"POST")
UNREAD = asks(b"/unread", b"content-length: 3\r\n", b"POST")
CLOSING = asks(b"/x", b"connection: close\r\n")
UPGRADE = asks(b"/x", b"connection: upgrade\r\nupgrade: h2c\r\n")
WEBSOCKET = asks(b"/x", b"connection: upgrade\r\nupgrade: websocket\r\nhost: here\r\n"
                 b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 b"sec-websocket-version: 13\r\n")  # fmt: skip
OLD = b"GET /x HTTP/1.0\r\n\r\n"
NOT_ASCII = asks(b"/\xc3\xa9")

DIRECT = {
    "get": [GET],
    "post": [POST],
    "head": [asks(b"/x", method=b"HEAD")],
    "no headers": [asks(b"/x", b"")],
    "empty body": [asks(b"/x", b"content-length: 0\r\n", b"POST")],
    "escapes": [asks(b"/a%2Fb%C3%A9/%ff?%41=%")],
    "fragment": [asks(b"/x?a=1#b")],
    "asterisk": [asks(b"*", method=b"OPTIONS")],
    "slashes": [asks(b"//x/../y")],
    "absolute form": [asks(b"http://there:80/x?y")],
    "one chunk": [CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"],
    "trailer": [CHUNKED + b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"],
    "odd status": [asks(b"/status/418")],
    "unnamed status": [asks(b"/status/599")],
    "big answer": [asks(b"/sized?65536")],
    "bigger answer": [asks(b"/sized?3000000")],
    "streamed answer": [asks(b"/odd/streamed")],
    "raises": [asks(b"/raises")],
    "raises after it began": [asks(b"/odd/raises")],
    "raises when it is done": [asks(b"/late")],
    "answers nothing": [asks(b"/odd/silent")],
    "answers half": [asks(b"/odd/half")],
    "body that is not read": [UNREAD + b"abc"],
}
USUAL = {
    "of Ray Serve": [asks(b"/-/healthz")],
    "body in pieces": [POST[:-3], b"a", b"bc"],
    "chunks in one piece": [CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"],
    "chunks in pieces": [CHUNKED, b"1\r\na\r\n2\r", b"\nbc\r\n0", b"\r\n\r\n"],
    "body in pieces, not read": [UNREAD],
    "expects": [EXPECTS, b"x"],
    "expects, in one piece": [EXPECTS + b"x"],
    "1.0": [OLD],
    "1.0, kept alive": [b"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"],
    "closing": [CLOSING],
    "upgrade": [UPGRADE],
}
REFUSED = {
    "websocket": [WEBSOCKET],
    "no HTTP": [b"nothing\r\n\r\n"],
    "no version": [b"GET /x\r\n\r\n"],
    "not ascii": [NOT_ASCII],
    "not ascii, in pieces": [asks(b"/\xc3\xa9", b"content-length: 3\r\n", b"POST")],
    "no path": [asks(b"http://there")],
    "connect": [asks(b"there:80", method=b"CONNECT")],
    "two lengths": [asks(b"/x", b"content-length: 1\r\ncontent-length: 2\r\n", b"POST")],
    "length and chunks": [CHUNKED[:-2] + b"content-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
    "bad header": [asks(b"/x", b"a b\r\n")],
    "bad chunk": [CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"],
    "bad chunk, later": [CHUNKED, b"3\r\nab", b"cd\r\n0\r\n\r\n"],
}


@pytest.fixture(autouse=True, scope="module")
def access_log():
    """Servers that keep none turn it off for the process."""
    logger = logging.getLogger("uvicorn.access")
    kept = logger.handlers, logger.propagate
    yield
    logger.handlers, logger.propagate = kept


def alike(pieces, **settings):
    """The requests that our server had, after both gave the same bytes on a replica's loop."""
    expected, _ = uvloop.run(told(pieces, stock, **settings))
    read, app = uvloop.run(told(pieces, ours, **settings))
    assert read == expected
    return app.direct


@pytest.mark.parametrize("pieces", DIRECT.values(), ids=DIRECT)
def test_what_comes_whole_starts_at_the_door(pieces):
    assert alike(pieces) == [True]


@pytest.mark.parametrize("pieces", USUAL.values(), ids=USUAL)
def test_what_is_rare_goes_the_way_of_the_server(pieces):
    assert alike(pieces) == [False]


@pytest.mark.parametrize("pieces", REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused_alike(pieces):
    assert True not in alike(pieces)


def test_what_is_no_request_behind_one_that_is_closes_alike():
    assert alike([GET + b"garbage\r\n\r\n"]) == [True]


@pytest.mark.parametrize("target", [b"/status/99", b"/breaks"])
def test_a_head_that_is_none_is_an_error_of_the_server(target):
    read, _ = uvloop.run(told([asks(target)], ours))
    assert read.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in read


def test_a_head_may_come_byte_by_byte():
    assert alike([bytes([byte]) for byte in GET]) == [True]


def test_a_huge_body_comes_in_as_many_pieces_as_the_kernel_makes():
    assert len(alike([HUGE])) == 1


@pytest.mark.parametrize("count", [2, 3])
def test_of_requests_behind_one_another_the_first_starts_at_once(count):
    assert alike([POST * count]) == [True] + [False] * (count - 1)


@pytest.mark.parametrize(
    "setting",
    [{"limit_concurrency": 1}, {"limit_concurrency": 9}, {"root_path": "/a"}, {"access_log": True}],
    ids=str,
)
def test_settings_that_ask_for_it_have_the_way_of_the_server(setting):
    logging.getLogger("uvicorn.access").handlers = [logging.NullHandler()]
    assert True not in alike([GET], **setting)


# Streams of requests, cut at any place, without a network.
STREAM = (
    GET, POST, asks(b"/x", method=b"HEAD"), asks(b"/raises"), asks(b"/odd/streamed"),
    asks(b"/-/healthz"), UNREAD + b"abc", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", CHUNKED + b"z", EXPECTS + b"x", UPGRADE, OLD,
    HUGE, CLOSING, NOT_ASCII,
)  # fmt: skip


@st.composite
def packets(draw):
    """(bytes, whether the loop turns behind them)"""
    stream = b"".join(draw(st.lists(st.sampled_from(STREAM), min_size=1, max_size=4)))
    anywhere = draw(st.lists(st.integers(1, len(stream)), max_size=6))
    in_heads = draw(st.lists(st.integers(1, 300), max_size=6))
    ends = sorted({*anywhere, *(min(end, len(stream)) for end in in_heads), len(stream)})
    parts = [stream[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return [(part, draw(st.booleans())) for part in parts]


async def carried(of, pieces):
    app = App()
    line = Line(app, of(app), timeout_keep_alive=5)
    for piece, turns in pieces:
        await line.feed(piece)
        if turns:
            await settled()
    await settled()
    return (
        line.read,
        app.asked,
        line.closed,
        line.paused and not line.closed,
        line.state.total_requests,
    )


@given(packets())
@settings(max_examples=150)
async def test_however_a_stream_is_cut_its_answers_are_those_of_the_server(pieces):
    assert await carried(ours, pieces) == await carried(stock, pieces)


async def test_a_huge_body_in_one_piece_is_answered_at_once():
    app = App()
    line = Line(app, ours(app), timeout_keep_alive=5)
    await line.feed(HUGE)
    await settled()
    assert (app.direct, len(line.written)) == ([True], 1)


async def test_a_small_answer_is_one_write_and_leaves_nothing_to_collect():
    app = App()
    line = Line(app, ours(app), timeout_keep_alive=5)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await line.feed(POST)
            await settled()
        left = [held for held in gc.get_objects() if type(held) is protocol.Cycle]
    finally:
        gc.enable()
    assert (len(line.written), left) == (5, [line.protocol.cycle])


async def test_nothing_is_written_while_the_client_does_not_read():
    read = []
    for of in (stock, ours):
        app = App()
        line = Line(app, of(app), timeout_keep_alive=5)
        line.protocol.pause_writing()
        await line.feed(POST)
        await settled()
        assert line.written == []
        line.protocol.resume_writing()
        await settled()
        read.append(line.read)
    assert read[0] == read[1] != b""


async def stopped_while_it_answers(of):
    app = App()
    async with serving(app, of(app)) as (server, port), connected(port) as (reader, writer):
        writer.write(asks(b"/held"))
        while not app.asked:
            await asyncio.sleep(0)
        state = server.server_state
        (connection,), (task,) = state.connections, state.tasks
        connection.shutdown()
        app.go.set()
        read = await asyncio.wait_for(reader.read(), 10)
        await task
    return app.direct, read, state.total_requests, len(state.tasks)


def test_a_server_that_stops_answers_what_it_has_and_closes():
    direct, *expected = uvloop.run(stopped_while_it_answers(stock))
    assert uvloop.run(stopped_while_it_answers(ours)) == ([True], *expected)
    assert b"connection: close\r\n" in expected[0]
    assert (direct, expected[1:]) == ([False], [1, 0])


async def test_whoever_asks_hears_that_the_client_left():
    app = App()
    line = Line(app, ours(app))
    await line.feed(asks(b"/left"))
    await settled()
    assert app.heard == []
    line.close()
    await settled()
    assert (app.heard, line.written, line.state.tasks) == (["http.disconnect"], [], set())
    assert line.state.total_requests == 0


@pytest.mark.parametrize("request_", [UNREAD + b"abc", asks(b"/listens")])
async def test_whoever_listens_hears_that_it_was_answered(request_):
    heard = []
    for of in (stock, ours):
        app = App()
        line = Line(app, of(app), timeout_keep_alive=5)
        await line.feed(request_)
        await settled()
        assert line.written
        heard.append(app.heard)
    assert heard == [["http.disconnect"]] * 2


async def test_the_door_ends_a_request_whose_client_left(monkeypatch):
    monkeypatch.setattr(Watch, "_on_timer", lambda self: None)
    hub = SmallHub()
    stock_models(hub)
    hub.hold = asyncio.Event()
    door = HttpDoor(hub, Settings())
    line = Line(door, ours(door.answer))
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}'
    head = b"authorization: Bearer consumer\r\ncontent-length: %d\r\n" % len(body)
    await line.feed(asks(b"/v2/models/echo/infer", head, b"POST") + body)
    await settled()
    assert len(hub.calls) == 1
    door._watch.tick()
    door._watch.tick()
    await settled()
    line.close()
    await settled()
    assert (hub.cancelled, len(door._watch), line.written) == (1, 0, [])


SENT = {"ask": POST, "hold": asks(b"/held"), "byte": b"G", "two": POST * 2, "go": b"", "": b""}


@given(st.lists(st.tuples(st.sampled_from([*SENT]), st.integers(0, 4))), st.sampled_from([0, 1, 3]))
@example([("ask", 2), ("ask", 2), ("", 2)], 3)
@example([("ask", 1), ("hold", 4), ("go", 2), ("", 2)], 3)
@example([("ask", 1), ("byte", 9), ("", 9)], 3)
async def test_connections_are_kept_as_long_as_the_server_keeps_them(steps, kept_s):
    apps = [App(), App()]
    lines = [
        Line(app, of(app), timeout_keep_alive=kept_s)
        for app, of in zip(apps, (stock, ours), strict=True)
    ]
    for step, seconds in steps:
        for app, line in zip(apps, lines, strict=True):
            if step == "go":
                app.go.set()
            elif step:
                await line.feed(SENT[step])
            await settled()
            line.loop.turn(seconds)
            await settled()
        assert lines[1].closed_s == lines[0].closed_s
        assert lines[1].loop.waiting() <= 1
    for app, line in zip(apps, lines, strict=True):
        app.go.set()
        line.close()
    await settled()
    assert lines[1].loop.waiting() == 0


async def test_a_connection_that_breaks_leaves_no_timer():
    app = App()
    line = Line(app, ours(app), timeout_keep_alive=5)
    await line.feed(POST)
    await settled()
    assert line.loop.waiting() == 1
    line.closed = True
    line.protocol.connection_lost(ConnectionResetError())
    assert line.loop.waiting() == 0


@pytest.fixture
def protocols(monkeypatch):
    """Those that servers choose from, put back behind the test."""
    kept = {"auto": "as it was"}
    monkeypatch.setattr(protocol, "HTTP_PROTOCOLS", kept)
    return kept


def test_it_is_installed_where_uvicorn_is_built_as_it_knows(protocols):
    assert protocol.install(lambda scope: None), "this release of uvicorn is built otherwise"
    assert issubclass(protocols["auto"], protocol.Direct)


def test_it_is_not_installed_where_a_name_is_gone(protocols, monkeypatch):
    gone = {built: names | {"gone"} for built, names in protocol._KNOWN.items()}
    monkeypatch.setattr(protocol, "_KNOWN", gone)
    assert not protocol.install(lambda scope: None)
    assert protocols == {"auto": "as it was"}
