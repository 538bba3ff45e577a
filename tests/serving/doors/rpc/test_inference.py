"""Tensors in and out over gRPC, by unmodified tritonclient and by plain messages."""

import asyncio
import queue
import time

import numpy as np
import tritonclient.grpc as sync
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2

from tests.serving.doors.rpc.asking import KEY, X, call, given, infer, plain


async def test_raw_tensors_go_in_and_out(hub, client):
    answer = await client.infer("echo", given(X), request_id="mine", headers=KEY)
    assert np.array_equal(answer.as_numpy("y"), X)
    assert np.array_equal(answer.as_numpy("z"), -X)
    response = answer.get_response()
    assert (response.id, response.model_name, response.model_version) == ("mine", "echo", "1")
    assert hub.calls[-1].request_id == "request-1"


async def test_typed_contents_in_are_answered_raw_as_triton_does(channel):
    answer = await infer(channel, plain())
    assert [len(raw) for raw in answer.raw_output_contents] == [24, 24]
    assert (
        np.frombuffer(answer.raw_output_contents[1], np.float32).tolist() == (-X).ravel().tolist()
    )


async def test_typed_contents_come_out_on_request(channel):
    request = plain()
    request.parameters["binary_data_output"].bool_param = False
    answer = await infer(channel, request)
    assert not answer.raw_output_contents
    assert list(answer.outputs[0].contents.fp32_contents) == X.ravel().tolist()
    request = plain()
    request.outputs.add(name="z").parameters["binary_data"].bool_param = False
    (output,) = (await infer(channel, request)).outputs
    assert (output.name, list(output.contents.fp32_contents)) == ("z", (-X).ravel().tolist())


async def test_texts_go_both_ways(client, channel):
    words = np.array([b"", "grüße".encode(), b"\xff\x00"], dtype=object)
    answer = await client.infer("words", given(words, datatype="BYTES"), headers=KEY)
    assert answer.as_numpy("y").tolist() == words.tolist()
    request = service_pb2.ModelInferRequest(model_name="words")
    tensor = request.inputs.add(name="x", datatype="BYTES", shape=[3])
    tensor.contents.bytes_contents.extend(words.tolist())
    request.parameters["binary_data_output"].bool_param = False
    answer = await infer(channel, request)
    assert list(answer.outputs[0].contents.bytes_contents) == words.tolist()


async def test_only_the_outputs_asked_for_leave_in_that_order(client):
    wanted = [sync.InferRequestedOutput("z"), sync.InferRequestedOutput("y")]
    answer = await client.infer("echo", given(X), outputs=wanted, headers=KEY)
    assert [output.name for output in answer.get_response().outputs] == ["z", "y"]
    assert np.array_equal(answer.as_numpy("y"), X)


async def test_parameters_of_the_scheduling_extension_are_understood(hub, client):
    before = time.monotonic_ns()
    await client.infer(
        "echo", given(X), model_version="2", timeout=5_000_000, priority=1, headers=KEY,
        parameters={"sticky": "me", "unknown": 3},
    )  # fmt: skip
    made = hub.calls[-1]
    assert (made.version, made.sticky) == ("2", "me")
    assert 4.9e9 < made.deadline_ns - before < 5.6e9


async def test_the_synchronous_client_and_its_compression(listener):
    def ask():
        with sync.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            for algorithm in (None, "gzip", "deflate"):
                answer = client.infer(
                    "echo", given(X), headers=KEY, compression_algorithm=algorithm
                )
                assert np.array_equal(answer.as_numpy("z"), -X)
            done = queue.Queue()
            client.async_infer(
                "echo", given(X), lambda result, error: done.put((result, error)), headers=KEY
            )
            result, error = done.get(timeout=5)
            assert error is None
            assert done.empty()
            assert np.array_equal(result.as_numpy("y"), X)

    await asyncio.to_thread(ask)


async def test_what_it_cost_is_in_the_trailing_metadata(hub, channel):
    hub.budget_remaining = 70
    running = call(channel, "ModelInfer")(plain(), metadata=tuple(KEY.items()))
    await running
    trailing = dict(await running.trailing_metadata())
    assert trailing["x-request-id"] == "request-1"
    assert (trailing["x-plaza-charge"], trailing["x-plaza-budget-remaining"]) == ("14", "70")


async def test_the_best_entries_are_wanted_as_texts(client, hub):
    wanted = [triton.InferRequestedOutput("y", class_count=2)]
    answer = await client.infer("echo", given(X), outputs=wanted, priority=2, headers=KEY)
    texts = answer.as_numpy("y")
    assert texts.dtype == object
    assert texts.shape[-1] == min(2, X.shape[-1])
    assert all(b":" in text for text in texts.ravel())
