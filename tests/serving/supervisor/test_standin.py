"""The public port is answered while nobody else holds it, and never once somebody does."""

import asyncio
import json
import signal
import socket

import httpx
import pytest

from plaza_serving.supervisor import standin
from plaza_serving.supervisor.process import pids
from plaza_serving.supervisor.sockets import holders
from plaza_serving.supervisor.standin import StandIn
from tests.serving.supervisor.machine import python
from tests.waiting import until


@pytest.fixture
async def stand_in(free_port):
    one = StandIn("127.0.0.1", free_port)
    task = asyncio.create_task(one.run())
    yield one, f"http://127.0.0.1:{free_port}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def listener(url):
    """A listening socket as HAProxy would open it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", httpx.URL(url).port))
    made.listen()
    return made


async def test_any_request_gets_the_standard_error_and_when_to_try_again(stand_in):
    one, url = stand_in
    await until(lambda: one.holding, 10)
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = [
            await client.get(f"{url}/v2/health/ready"),
            await client.post(f"{url}/v2/models/m/infer", content=b"x" * 3_000_000),
        ]
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        body = json.loads(answer.content)
        assert body["code"] == "unavailable"
        assert body["request_id"]
    assert answers[0].json()["request_id"] != answers[1].json()["request_id"]


async def test_it_leaves_when_an_ingress_comes_and_returns_when_that_is_gone(stand_in):
    one, url = stand_in
    await until(lambda: one.holding, 10)
    with listener(url):
        await until(lambda: not one.holding, 10)
    await until(lambda: one.holding, 10)


async def test_it_never_joins_an_ingress_that_is_there(free_port):
    url = f"http://127.0.0.1:{free_port}"
    with listener(url) as ingress:
        one = StandIn("127.0.0.1", free_port)
        task = asyncio.create_task(one.run())
        ingress.setblocking(False)
        for _ in range(20):  # every connection arrives here; none is taken away
            async with asyncio.timeout(30):
                _, writer = await asyncio.open_connection("127.0.0.1", free_port)
                accepted, _ = await asyncio.get_running_loop().sock_accept(ingress)
            accepted.close()
            writer.close()
            await writer.wait_closed()
        assert not one.holding
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_covers_the_end_of_an_ingress_without_a_gap(stand_in):
    one, url = stand_in
    ingress = listener(url)
    await until(lambda: not one.holding, 10)
    async with one.covering():
        ingress.close()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).status_code == 503
    assert one.holding


async def test_who_waits_in_the_queue_while_it_leaves_is_still_answered(free_port):
    one = StandIn("127.0.0.1", free_port)
    task = asyncio.create_task(one.run())
    await until(lambda: one.holding, 10)
    with socket.create_connection(("127.0.0.1", free_port)) as client:  # the loop sees it too late
        client.setblocking(False)
        await one._give()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(30):
            assert (await loop.sock_recv(client, 100)).startswith(b"HTTP/1.1 503 ")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_port_is_free_after_it_was_cancelled(free_port):
    one = StandIn("127.0.0.1", free_port)
    task = asyncio.create_task(one.run())
    await until(lambda: one.holding, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", free_port))


INGRESS = """
import os, socket, sys, time
made = socket.socket()
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
made.bind(("127.0.0.1", int(sys.argv[1])))
made.listen()
os.fork()  # as HAProxy hands its sockets to the process that takes over
time.sleep(60)
"""


async def test_it_sees_the_last_of_those_die_who_share_the_port(free_port, monkeypatch):
    monkeypatch.setattr(standin, "_ABSENT_LOOK_S", 3600)  # nothing but deaths can tell it
    ingress = await asyncio.create_subprocess_exec(*python(INGRESS), str(free_port))
    await until(lambda: len(holders(free_port, pids())) == 2, 10)
    one = StandIn("127.0.0.1", free_port)
    task = asyncio.create_task(one.run())
    await until(lambda: len(one._watched) == 2, 10)
    ingress.kill()
    await ingress.wait()
    await until(lambda: len(one._watched) == 1, 10)
    assert not one.holding
    (heir,) = one._watched
    heir.signal(signal.SIGKILL)
    await until(lambda: one.holding, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
