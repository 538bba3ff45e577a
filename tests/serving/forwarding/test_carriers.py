"""What the way through the ingress does with connections, large answers and broken ones."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from plaza_core.errors import PoolLost, PoolUnavailable
from plaza_core.ids import OrganisationId
from plaza_core.settings import Settings
from plaza_core.table import HeartbeatReply
from plaza_core.testing import FakeClock
from plaza_serving.forwarding.carrier import HttpCarrier, ingress_of
from plaza_serving.forwarding.memory import MemoryCarrier
from plaza_serving.forwarding.others import OtherPools
from plaza_serving.pools import Elsewhere, Passed
from tests.serving.forwarding.conftest import PREFIX, listening
from tests.waiting import until

PIECE = bytes(1 << 16)
MANY = 256
WHERE = Elsewhere(("ov",), 0.1)


def passed(*body):
    return Passed(OrganisationId("org_1"), "POST", b"/x?y=1", [(b"x-mine", b"1")], list(body))


class Pool:
    """Answers with what it was sent, with `MANY` pieces, or half of what it announced."""

    def __init__(self) -> None:
        self.sent = 0
        self.paths = []

    async def __call__(self, scope, receive, send):
        self.paths.append((scope["path"], scope["query_string"]))
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        headers = dict(scope["headers"])
        what = headers.get(b"x-what", b"")
        total = MANY * len(PIECE) if what else len(b"%d" % size)
        start = [(b"content-length", b"%d" % total)]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        if not what:
            await send({"type": "http.response.body", "body": b"%d" % size})
            return
        for _ in range(MANY if what == b"many" else MANY // 2):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            self.sent += 1
        if what == b"many":
            await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def through_the_ingress(clock=None):
    """(pool, carrier, the server's open connections)"""
    pool = Pool()
    async with listening(pool) as (port, state):
        carrier = HttpCarrier("127.0.0.1", port, {"ov": PREFIX}, clock or FakeClock())
        yield pool, carrier, state.connections
        carrier.close()


async def body_of(passage):
    return b"".join([piece async for piece in passage.pieces()])


def asking(what):
    return Passed(OrganisationId("org_1"), "POST", b"/x", [(b"x-what", what)], [b"1"])


async def test_both_carriers_bring_the_same_there_and_back():
    async with through_the_ingress() as (pool, carrier, _):
        for one in (carrier, MemoryCarrier({"ov": (PREFIX, pool)})):
            async with one.carry("ov", passed(b"12", b"345", PIECE * 9)) as passage:
                assert passage.status == 200
                assert await body_of(passage) == b"%d" % (5 + 9 * len(PIECE))
            assert pool.paths[-1] == (f"{PREFIX}/x", b"y=1")


async def test_connections_are_used_again_and_given_up_before_the_ingress_does():
    clock = FakeClock()
    async with through_the_ingress(clock) as (_, carrier, connections):
        for _ in range(5):
            async with carrier.carry("ov", passed(b"1")) as passage:
                await body_of(passage)
        (first,) = connections
        clock.advance(6)
        async with carrier.carry("ov", passed(b"1")) as passage:
            await body_of(passage)
            assert first not in connections or len(connections) == 2


async def test_a_large_answer_is_read_no_faster_than_it_is_taken():
    async with (
        through_the_ingress() as (pool, carrier, _),
        carrier.carry("ov", asking(b"many")) as passage,
    ):
        pieces = passage.pieces()
        size = len(await anext(pieces))
        before = -1
        while before != pool.sent:  # until the pool can send no more
            before = pool.sent
            await asyncio.sleep(0.02)
        assert pool.sent < MANY, "sockets and a quarter of a megabyte hold a part of it only"
        size += sum([len(piece) async for piece in pieces])
        assert size == MANY * len(PIECE)


async def test_an_answer_left_half_way_closes_its_connection():
    async with through_the_ingress() as (_, carrier, connections):
        async with carrier.carry("ov", asking(b"many")) as passage:
            await anext(passage.pieces())
        await until(lambda: not connections)


async def test_an_answer_that_breaks_off_is_lost_not_short():
    async with through_the_ingress() as (_, carrier, _):
        with pytest.raises(PoolLost):
            async with carrier.carry("ov", asking(b"half")) as passage:
                await body_of(passage)


async def test_where_nobody_listens_the_pool_is_unavailable():
    async with listening(Pool()) as (port, _):
        pass
    carrier = HttpCarrier("127.0.0.1", port, {"ov": PREFIX}, FakeClock())
    for one in (carrier, MemoryCarrier({})):
        with pytest.raises(PoolUnavailable):
            async with one.carry("ov", passed(b"1")):
                raise AssertionError("nobody is there")


async def test_a_pool_that_never_answers_is_given_up():
    async def silent(scope, receive, send):
        await asyncio.Event().wait()

    carrier = MemoryCarrier({"ov": ("", silent)})
    others = OtherPools(["ov"], carrier, FakeClock(), most=1, load_s=-2.0)
    with pytest.raises(PoolLost, match="in time"):
        async with others.answer(WHERE, passed()):
            raise AssertionError("there is no answer")
    assert len(others) == 0


async def test_what_control_said_long_ago_counts_for_nothing():
    clock = FakeClock()
    pool = Pool()
    carrier = MemoryCarrier({"ov": (PREFIX, pool)})
    others = OtherPools(["ov"], carrier, clock, most=1, load_s=1.0)
    others.heed(HeartbeatReply(live_replicas=1, pools={"main": 1}))
    with pytest.raises(PoolUnavailable):
        async with others.answer(WHERE, passed()):
            raise AssertionError("no replica is ready")
    clock.advance(11)
    async with others.answer(WHERE, passed()) as passage:
        assert await body_of(passage) == b"0"


@pytest.mark.parametrize(
    ("listen", "host"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "127.0.0.1"), ("10.0.0.7", "10.0.0.7"),
     ("localhost", "localhost")],
)  # fmt: skip
def test_the_ingress_is_reached_on_the_node_itself(listen, host):
    assert ingress_of(Settings(listen=listen, http_port=8123)) == (host, 8123)
