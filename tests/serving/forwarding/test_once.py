"""Idempotency keys of forwarded requests: kept where the request is served, once, and not in front.

The path names the model of some requests, which are forwarded before a record is made; of others
only the body does, and the record made in front is taken back first.
"""

from __future__ import annotations

import os

import pytest

from plaza_core.idempotency import State, Verdict
from plaza_serving.doors.http import HttpDoor
from plaza_serving.forwarding.memory import MemoryCarrier
from plaza_serving.idempotency.keeper import Keeper
from tests.serving.doors.asgi import Client
from tests.serving.forwarding.conftest import PREFIX, SEAL, SETTINGS, Pools, front_of

ECHO = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
EMBED = {"model": "embedder", "input": ["a b"]}


class MemoryClaims:
    """Claims in a dictionary, one for the whole hub as control's are."""

    def __init__(self) -> None:
        self.known = {}
        self.released = 0

    async def claim(self, ask):
        first, done = self.known.setdefault(ask.name, (ask, None))
        state = State.YOURS if first is ask else State.RUNNING if done is None else State.KEPT
        if first.fingerprint != ask.fingerprint:
            state = State.OTHER
        kept = {} if done is None else {"status": done.status, "answer": done.answer}
        return Verdict(state=state, request_id=first.request_id, token=first.token, **kept)

    async def renew(self, place):
        assert place.name in self.known

    async def complete(self, done):
        self.known[done.name] = (self.known[done.name][0], done)

    async def release(self, place):
        self.released += 1
        del self.known[place.name]


@pytest.mark.parametrize(
    ("path", "body", "taken_back"),
    [("/v2/models/echo/infer", ECHO, 0), ("/v1/embeddings", EMBED, 1)],
)
async def test_a_repeated_request_is_done_once_in_the_other_pool(new_hub, path, body, taken_back):
    claims = MemoryClaims()
    keepers = [Keeper(claims, os.urandom) for _ in range(2)]
    front, back = front_of(new_hub()), new_hub()
    there = HttpDoor(back, SETTINGS, prefix=PREFIX, seal=SEAL, keeper=keepers[0])
    pools = Pools(front, back, lambda _: MemoryCarrier({"ov": (PREFIX, there)}))
    door = HttpDoor(front, SETTINGS, others=pools.others, seal=SEAL, keeper=keepers[1])
    named = {"idempotency-key": "mine"}
    first, again = [await Client(door).post(path, body, headers=named) for _ in range(2)]
    assert (first.status, again.status, first.body) == (200, 200, again.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] == first.headers["x-request-id"]
    assert (len(back.calls), front.calls, claims.released) == (1, [], taken_back)
    for keeper in keepers:
        await keeper.close()
