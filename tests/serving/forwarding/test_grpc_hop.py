"""One address over gRPC: unmodified tritonclient, models of two pools, no metadata but a key."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc as sync
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from plaza_core.errors import RateLimited
from plaza_core.table import HeartbeatReply
from plaza_serving.doors.rpc.server import listen
from tests.serving.forwarding.conftest import SETTINGS
from tests.waiting import until

KEY = {"authorization": "Bearer consumer"}
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def given(array, datatype="FP32"):
    tensor = sync.InferInput("x", array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


@pytest.fixture
async def client(pools):
    listener = await listen(pools.grpc, SETTINGS, 0)
    async with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
        yield client
    await listener.close()


async def test_a_model_of_another_pool_answers(pools, client):
    answer = await client.infer("echo", given(X), request_id="mine", headers=KEY)
    assert np.array_equal(answer.as_numpy("y"), X)
    assert answer.get_response().id == "mine"
    assert (len(pools.seen), len(pools.back.calls), pools.front.calls) == (1, 1, [])
    words = np.array([b"a", b"\xff"], dtype=object)
    answer = await client.infer("words", given(words, "BYTES"), headers=KEY)
    assert answer.as_numpy("y").tolist() == words.tolist()


async def test_its_trailing_metadata_tell_what_it_cost(pools, client):
    request = service_pb2.ModelInferRequest(model_name="echo")
    request.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    request.raw_input_contents.append(X.tobytes())
    call = client._client_stub.ModelInfer(request, metadata=tuple(KEY.items()))
    await call
    trailing = dict(await call.trailing_metadata())
    assert trailing["x-plaza-charge"] == "14"
    assert int(trailing["x-request-id"].removeprefix("request-")) > 5000
    pools.back.fail = RateLimited("too many: 100 %", retry_after=7)
    with pytest.raises(grpc.aio.AioRpcError, match="too many: 100 %") as caught:
        await client._client_stub.ModelInfer(request, metadata=tuple(KEY.items()))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(caught.value.trailing_metadata())
    assert (trailing["x-plaza-code"], trailing["retry-after"]) == ("rate_limited", "7")
    assert trailing["x-plaza-charge"] == "0"


async def test_it_describes_itself_as_in_its_own_pool(pools, client):
    assert await client.is_model_ready("echo", headers=KEY)
    assert (await client.get_model_metadata("echo", headers=KEY)).versions == ["1", "2"]
    assert (await client.get_model_config("echo", headers=KEY)).config.name == "echo"
    assert (await client.get_inference_statistics("echo", headers=KEY)).model_stats
    await client.load_model("echo", headers={"authorization": "Bearer engineer"})
    assert len(pools.seen) == 5


async def test_a_stream_may_name_models_of_several_pools(pools, client):
    async def asked():
        for number in range(8):
            model = "echo" if number % 2 else "road.echo"
            yield {"model_name": model, "inputs": given(X + number), "request_id": str(number),
                   "enable_empty_final_response": True}  # fmt: skip
        yield {"model_name": "echo", "model_version": "9", "inputs": given(X), "request_id": "9"}

    answers = [one async for one in client.stream_infer(asked(), headers=KEY)]
    *good, (_, error) = answers
    assert [result.get_response().id for result, _ in good] == [str(n) for n in range(8)]
    assert all(np.array_equal(r.as_numpy("y"), X + n) for n, (r, _) in enumerate(good))
    assert all(r.get_response().parameters["triton_final_response"].bool_param for r, _ in good)
    assert "no such model" in error.message()
    assert (len(pools.seen), len(pools.front.calls)) == (5, 4)


async def test_a_calls_deadline_goes_along_and_shrinks(pools, client):
    pools.back.hold = asyncio.Event()
    with pytest.raises(InferenceServerException) as caught:
        await client.infer("echo", given(X), headers=KEY, client_timeout=0.3)
    assert "DEADLINE" in caught.value.status()
    await until(lambda: pools.back.cancelled)
    (call,) = pools.back.calls
    left_s = (call.deadline_ns - pools.back.clock.monotonic_ns()) / 1e9
    assert left_s < 0.3
    assert len(pools.others) == 0


async def test_a_pool_without_a_replica_is_not_ready_and_unavailable(pools, client):
    pools.others.heed(HeartbeatReply(live_replicas=1, pools={"main": 1}))
    assert not await client.is_model_ready("echo", headers=KEY)
    with pytest.raises(InferenceServerException, match="no replica is ready") as caught:
        await client.infer("echo", given(X), headers=KEY)
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    assert pools.seen == []
