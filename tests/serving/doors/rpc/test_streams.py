"""Streams of requests over gRPC: order, errors, and clients that leave."""

import asyncio
import time

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc as sync
from tritonclient.grpc import service_pb2

from tests.serving.doors.rpc.asking import KEY, SERVICE, X, given, plain
from tests.waiting import until


async def test_a_stream_answers_in_the_order_asked(hub, client):
    infer_now = hub.infer

    async def slow_first(principal, call):
        if call.model == "road.echo":
            await asyncio.sleep(0.2)  # four of them one after the other would take 0.8 s
        return await infer_now(principal, call)

    hub.infer = slow_first

    async def asked():
        for number in range(20):
            model = "road.echo" if number % 5 == 0 else "echo"
            yield {"model_name": model, "inputs": given(X + number), "request_id": str(number),
                   "enable_empty_final_response": True}  # fmt: skip

    begin = time.monotonic()
    answers = [one async for one in client.stream_infer(asked(), headers=KEY)]
    assert time.monotonic() - begin < 0.7, "they are computed at the same time"
    assert [error for _, error in answers] == [None] * 20
    assert [result.get_response().id for result, _ in answers] == [str(n) for n in range(20)]
    assert all(np.array_equal(r.as_numpy("y"), X + n) for n, (r, _) in enumerate(answers))
    final = [r.get_response().parameters["triton_final_response"].bool_param for r, _ in answers]
    assert all(final)


async def test_an_error_in_a_stream_ends_its_request_only(client):
    async def asked():
        for model in ("echo", "nothing", "echo"):
            yield {"model_name": model, "inputs": given(X), "request_id": model}

    answers = [one async for one in client.stream_infer(asked(), headers=KEY)]
    assert [error is None for _, error in answers] == [True, False, True]
    assert "no such model" in answers[1][1].message()


async def test_a_streams_error_names_request_and_code(channel):
    stream = channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )(metadata=tuple(KEY.items()))
    await stream.write(plain("nothing"))
    answer = await stream.read()
    assert answer.error_message
    assert answer.infer_response.id == "mine"
    assert answer.infer_response.parameters["x-plaza-code"].string_param == "model_not_found"
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_without_a_key_is_refused(client):
    async def asked():
        yield {"model_name": "echo", "inputs": given(X)}

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in client.stream_infer(asked()):
            pass
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_client_that_leaves_its_stream_leaves_nothing_running(hub, channel):
    hub.hold = asyncio.Event()
    stream = channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )(metadata=tuple(KEY.items()))
    for _ in range(100):
        await stream.write(plain())
    await until(lambda: len(hub.calls) == 64)
    await asyncio.sleep(0.05)  # nothing tells that no other will come
    assert len(hub.calls) == 64, "the rest waits outside"
    stream.cancel()
    await until(lambda: hub.cancelled == 64)


async def test_the_synchronous_clients_stream(listener):
    def ask():
        found = []
        with sync.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            client.start_stream(lambda result, error: found.append((result, error)), headers=KEY)
            for number in range(20):
                client.async_stream_infer("echo", given(X), request_id=str(number))
            client.stop_stream()
        assert [result.get_response().id for result, _ in found] == [str(n) for n in range(20)]

    await asyncio.to_thread(ask)
