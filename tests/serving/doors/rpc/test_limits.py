"""Sizes, deadlines and cancellation over gRPC."""

import asyncio
import time

import grpc
import grpc.aio
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.serving.doors.rpc.asking import KEY, call, given, infer, plain, refused
from tests.waiting import until


async def test_messages_over_the_limit_are_refused_on_both_sides(hub, client, channel):
    large = np.zeros((100_000, 3), np.float32)
    for algorithm in (None, "gzip"):  # a small compressed one too
        with pytest.raises(InferenceServerException) as caught:
            await client.infer("echo", given(large), headers=KEY, compression_algorithm=algorithm)
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    assert not hub.calls
    hub.add("wide", hub._models["echo"][0], lambda _: {"y": np.zeros((1_000_000, 3), np.float32)})
    found = await refused(infer(channel, plain("wide")))
    assert found[:2] == ("RESOURCE_EXHAUSTED", "payload_too_large")


async def test_many_large_messages_at_once_are_refused(hub, client, channel):
    hub.hold = asyncio.Event()
    large = np.zeros((80_000, 3), np.float32)
    calls = [
        asyncio.create_task(client.infer("echo", given(large), headers=KEY)) for _ in range(17)
    ]
    await until(lambda: len(hub.calls) == 17)
    found = await asyncio.gather(
        *(client.infer("echo", given(large), headers=KEY) for _ in range(2)), return_exceptions=True
    )
    assert {one.status() for one in found} == {"StatusCode.UNAVAILABLE"}
    hub.hold.set()
    await asyncio.gather(*calls)
    assert (await infer(channel, plain())).id == "mine", "the memory is free again"


async def test_the_calls_own_deadline_shortens_but_never_lengthens(hub, channel):
    before = time.monotonic_ns()
    await infer(channel, plain())
    assert hub.calls[-1].deadline_ns is None, "the plane's own"
    await infer(channel, plain(), timeout=3600)
    assert hub.calls[-1].deadline_ns - before < 3.5e9, "the hub's 2 s"
    request = plain()
    request.parameters["timeout"].int64_param = 60_000_000
    await infer(channel, request, timeout=1)
    assert hub.calls[-1].deadline_ns - before < 2.5e9, "the call's 1 s"


async def test_a_call_whose_deadline_passes_is_cancelled_in_the_house(hub, channel):
    await infer(channel, plain())  # connected: what passes below passes in the house
    hub.hold = asyncio.Event()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await infer(channel, plain(), timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: hub.cancelled == 1)


async def test_a_cancelled_call_is_cancelled_in_the_house(hub, channel):
    hub.hold = asyncio.Event()
    running = call(channel, "ModelInfer")(plain(), metadata=tuple(KEY.items()))
    await until(lambda: hub.calls)
    running.cancel()
    await until(lambda: hub.cancelled == 1)
