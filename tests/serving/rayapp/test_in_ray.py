"""The server that Ray Serve makes in a replica speaks our protocol: what a release could break."""

import asyncio
import logging
import re
import warnings

import orjson
import pytest
from uvicorn.config import HTTP_PROTOCOLS

from plaza_core.settings import Settings
from plaza_serving.doors.http import HttpDoor
from plaza_serving.rayapp import edge
from plaza_serving.rayapp.protocol import Cycle, Direct
from tests.serving.doors.small_hub import SmallHub
from tests.serving.doors.small_models import stock

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}'
INFER = (
    b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: here\r\nauthorization: Bearer consumer\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
) + BODY
HEALTH = b"GET /-/healthz HTTP/1.1\r\nhost: here\r\n\r\n"


async def of_ray(scope, receive, send):
    """In the place of the application that Ray Serve has behind its middlewares."""
    headers = [(b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ray"})


@pytest.fixture(scope="module")
def ray_http():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ray 2.60 declares fields in a way pydantic deprecates
        from ray.serve._private import http_util

    return http_util


@pytest.fixture
async def server(monkeypatch, ray_http):
    """As a replica starts it."""
    for name in ("uvicorn.error", "uvicorn.access"):  # it silences both for the process
        logger = logging.getLogger(name)
        for field in ("level", "handlers", "propagate"):
            monkeypatch.setattr(logger, field, getattr(logger, field))
    hook, path = (
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
        "plaza_serving.rayapp.edge:middlewares",
    )
    monkeypatch.setattr(ray_http, hook, path)
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    options = ray_http.HTTPOptions(host="127.0.0.1", port=0)
    options = ray_http.configure_http_options_with_defaults(options)
    options = ray_http.configure_http_middlewares(options)
    loop = asyncio.get_running_loop()
    running, server = await ray_http.start_asgi_http_server(of_ray, options, event_loop=loop)
    while not server.started:
        await asyncio.sleep(0)
    yield server
    edge.register(None)
    server.should_exit = True
    await running


@pytest.fixture
async def ask(server):
    """Sends a request over one connection: its answer, and whether our protocol began it."""
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def asked(request):
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
        (connection,) = server.server_state.connections
        assert isinstance(connection, Direct), "the server speaks another protocol"
        return head, body, type(connection.cycle) is Cycle

    yield asked
    writer.close()


async def test_a_server_of_ray_hands_requests_to_the_door(ask):
    hub = SmallHub()
    stock(hub)
    edge.register(HttpDoor(hub, Settings()))
    head, body, direct = await ask(INFER)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (orjson.loads(body)["model_name"], direct) == ("echo", True)
    assert (await ask(INFER))[2]
    head, body, direct = await ask(HEALTH)
    assert (body, direct) == (b"ray", False)
    assert head.count(b"x-request-id") == 1


async def test_a_server_without_a_door_is_ray_s_alone(ask):
    assert (await ask(INFER))[1:] == (b"ray", False)
