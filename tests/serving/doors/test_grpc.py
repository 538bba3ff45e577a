"""The gRPC door over a small hub, asked by unmodified tritonclient and by plain messages."""

import asyncio
import logging
import time

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc as sync
import tritonclient.grpc.aio as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

import plaza_core.errors
from plaza_core.errors import Overloaded, PlazaError, RateLimited
from plaza_core.settings import Settings
from plaza_serving.doors.brake import FREE
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.problems import code_of
from plaza_serving.doors.rpc.server import listen

SERVICE = "/inference.GRPCInferenceService/"
KEY = {"authorization": "Bearer consumer"}
ENGINEER = {"authorization": "Bearer engineer"}


@pytest.fixture
async def listener(hub, repository):
    settings = Settings(max_body_mb=1, max_answer_mb=2, default_deadline_ms=2000)
    listener = await listen(GrpcDoor(hub, settings, repository=repository), settings, 0)
    yield listener
    await listener.close()


@pytest.fixture
async def client(listener):
    async with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
        yield client


@pytest.fixture
async def channel(listener):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        yield channel


def given(array, name="x", datatype="FP32"):
    tensor = sync.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def plain(model="echo", **more):
    """A request with typed contents, as clients without the library write it."""
    request = service_pb2.ModelInferRequest(model_name=model, id="mine", **more)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    tensor.contents.fp32_contents.extend(X.ravel().tolist())
    return request


def call(channel, method, answer="ModelInferResponse"):
    return channel.unary_unary(
        SERVICE + method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=getattr(service_pb2, answer).FromString,
    )


async def infer(channel, request, metadata=(("authorization", "Bearer consumer"),), **more):
    return await call(channel, "ModelInfer")(request, metadata=metadata, **more)


async def refused(awaitable):
    """(status, code, input, retry-after, request id) of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    trailing = dict(caught.value.trailing_metadata())
    return (
        caught.value.code().name,
        trailing["x-plaza-code"],
        trailing.get("x-plaza-input"),
        trailing.get("retry-after"),
        trailing["x-request-id"],
    )


# ── what is asked first ──────────────────────────────────────────────────────────────────────────
async def test_everybody_may_ask_for_health(hub, client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    hub.is_ready = False
    assert not await client.is_server_ready()


async def test_the_server_and_its_models_describe_themselves(client):
    server = await client.get_server_metadata(headers=KEY)
    assert server.name == "plaza"
    assert {"model_repository", "statistics"} <= set(server.extensions)
    model = await client.get_model_metadata("echo", headers=KEY, as_json=True)
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "3"]}]
    assert [output["name"] for output in model["outputs"]] == ["y", "z"]
    assert model["versions"] == ["1", "2"]


async def test_a_models_configuration_has_the_shape_that_clients_know(client):
    batched = (await client.get_model_config("echo", headers=KEY)).config
    assert (batched.name, batched.platform) == ("echo", "onnx_onnxv1")
    assert batched.max_batch_size > 0
    assert list(batched.input[0].dims) == [3], "the batch axis is left out"
    assert not batched.model_transaction_policy.decoupled
    alone = (await client.get_model_config("open", "2", headers=KEY)).config
    assert alone.max_batch_size == 0
    assert list(alone.input[0].dims) == [-1]
    assert alone.parameters["version"].string_value == "2"


async def test_a_model_that_is_not_there_is_not_ready_and_has_no_metadata(client):
    assert await client.is_model_ready("echo", headers=KEY)
    assert await client.is_model_ready("echo", "2", headers=KEY)
    assert not await client.is_model_ready("nothing", headers=KEY)
    with pytest.raises(InferenceServerException) as caught:
        await client.get_model_metadata("nothing", headers=KEY)
    assert caught.value.status() == "StatusCode.NOT_FOUND"


# ── inference ────────────────────────────────────────────────────────────────────────────────────
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
            done = []
            client.async_infer(
                "echo", given(X), lambda result, error: done.append((result, error)), headers=KEY
            )
            until = time.monotonic() + 5
            while not done and time.monotonic() < until:
                time.sleep(0.01)
            (((result, error),)) = done
            assert error is None
            assert np.array_equal(result.as_numpy("y"), X)

    await asyncio.to_thread(ask)


async def test_what_it_cost_is_in_the_trailing_metadata(hub, channel):
    hub.budget_remaining = 70
    running = call(channel, "ModelInfer")(plain(), metadata=tuple(KEY.items()))
    await running
    trailing = dict(await running.trailing_metadata())
    assert trailing["x-request-id"] == "request-1"
    assert (trailing["x-plaza-charge"], trailing["x-plaza-budget-remaining"]) == ("14", "70")


# ── who may ─────────────────────────────────────────────────────────────────────────────────────
async def test_without_a_key_nothing_is_read(hub, channel):
    for metadata in ((), (("authorization", "Bearer nobody"),)):
        found = await refused(infer(channel, plain(), metadata))
        assert found[:3] == ("UNAUTHENTICATED", "unauthenticated", "authorization")
    assert not hub.calls


async def test_a_key_given_twice_is_refused(channel):
    twice = (*KEY.items(), ("authorization", "Bearer admin"))
    assert (await refused(infer(channel, plain(), twice)))[1] == "malformed_request"


async def test_a_key_without_the_right_is_refused(channel):
    found = await refused(infer(channel, plain(), (("authorization", "Bearer auditor"),)))
    assert found[:2] == ("PERMISSION_DENIED", "forbidden")


async def test_an_idempotency_key_is_refused_and_not_ignored(channel):
    metadata = (*KEY.items(), ("idempotency-key", "once"))
    found = await refused(infer(channel, plain(), metadata))
    assert found[:3] == ("INVALID_ARGUMENT", "bad_request", "idempotency-key")


async def test_a_loopback_key_serves_callers_that_bring_none(hub, repository):
    settings = Settings(loopback_key="consumer")
    listener = await listen(GrpcDoor(hub, settings, repository=repository), settings, 0)
    try:
        async with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            answer = await client.infer("echo", given(X))
            assert np.array_equal(answer.as_numpy("y"), X)
            with pytest.raises(InferenceServerException) as caught:
                await client.infer("echo", given(X), headers={"authorization": "Bearer wrong"})
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED", "one brought is used"
    finally:
        await listener.close()


@pytest.mark.parametrize("place", ["listen", "node_ip"])
def test_a_loopback_key_is_refused_unless_all_is_on_loopback(place):
    assert Settings(loopback_key="k", listen="::1").loopback_key == "k"
    with pytest.raises(ValueError, match="loopback"):
        Settings(loopback_key="k", **{place: "10.0.0.1"})


def test_a_port_that_something_else_has_is_refused():
    with pytest.raises(ValueError, match="is taken"):
        Settings(grpc_port=8000)
    pools = [{"name": "second", "grpc_port": 8001}]
    with pytest.raises(ValueError, match="second"):
        Settings(pools=pools)
    assert Settings(grpc_port=0, pools=pools).all_pools[0].grpc_port is None


# ── errors ───────────────────────────────────────────────────────────────────────────────────────
CODES = {
    "bad_request": "INVALID_ARGUMENT",
    "malformed_request": "INVALID_ARGUMENT",
    "invalid_tensor": "INVALID_ARGUMENT",
    "payload_too_large": "RESOURCE_EXHAUSTED",
    "unsupported_media": "INVALID_ARGUMENT",
    "invalid_input": "INVALID_ARGUMENT",
    "invalid_bundle": "INVALID_ARGUMENT",
    "idempotency_mismatch": "INVALID_ARGUMENT",
    "target_refused": "INVALID_ARGUMENT",
    "unauthenticated": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "model_not_found": "NOT_FOUND",
    "pool_not_found": "NOT_FOUND",
    "route_not_found": "UNIMPLEMENTED",
    "method_not_allowed": "UNIMPLEMENTED",
    "conflict": "FAILED_PRECONDITION",
    "does_not_fit": "FAILED_PRECONDITION",
    "breaking_change": "FAILED_PRECONDITION",
    "idempotency_not_kept": "FAILED_PRECONDITION",
    "idempotency_in_progress": "ABORTED",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "concurrency_exceeded": "RESOURCE_EXHAUSTED",
    "quota_exceeded": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "unavailable": "UNAVAILABLE",
    "ledger_unavailable": "UNAVAILABLE",
    "model_loading": "UNAVAILABLE",
    "forwarding_busy": "UNAVAILABLE",
    "pool_unavailable": "UNAVAILABLE",
    "pool_lost": "UNKNOWN",
    "provider_unavailable": "UNAVAILABLE",
    "sandbox_unavailable": "FAILED_PRECONDITION",
    "not_certified": "UNAVAILABLE",
    "cell_died": "UNAVAILABLE",
    "quarantined": "UNAVAILABLE",
    "deadline_exceeded": "DEADLINE_EXCEEDED",
    "model_failed": "INTERNAL",
    "internal": "INTERNAL",
}
CLASSES = [
    kind
    for kind in vars(plaza_core.errors).values()
    if isinstance(kind, type) and issubclass(kind, PlazaError)
]


def test_every_code_has_its_status():
    assert {kind.code: code_of(kind("x")).name for kind in CLASSES} == CODES


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
async def test_an_error_of_the_plane_reaches_the_caller(hub, channel, kind):
    hub.fail = kind("what happened", input="größe")
    found = await refused(infer(channel, plain()))
    assert found[:3] == (CODES[kind.code], kind.code, "gr%C3%B6%C3%9Fe")
    assert found[4] == "request-1"


async def test_those_who_may_try_again_are_told_when(hub, channel):
    hub.fail = RateLimited("slow down", retry_after=1.2)
    assert (await refused(infer(channel, plain())))[3] == "2"


async def test_a_bug_is_internal_and_says_nothing(hub, channel, caplog):
    hub.fail = ValueError("/srv/secret/path: payload 4711")
    with caplog.at_level(logging.ERROR):
        assert (await refused(infer(channel, plain())))[:2] == ("INTERNAL", "internal")
    assert "request-1" in caplog.text
    assert "4711" not in caplog.text, "the message may quote a payload"


async def test_a_flood_of_refusals_is_told_late(hub, channel):
    hub.fail = Overloaded("full")
    begin = time.monotonic()
    await asyncio.gather(*(refused(infer(channel, plain())) for _ in range(FREE + 5)))
    assert time.monotonic() - begin > 0.9


async def test_a_method_that_is_not_offered_is_unimplemented(channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, "TraceSetting")(plain(), metadata=tuple(KEY.items()))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# ── limits ───────────────────────────────────────────────────────────────────────────────────────
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
    await _until(lambda: len(hub.calls) == 17)
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
    hub.hold = asyncio.Event()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await infer(channel, plain(), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await _until(lambda: hub.cancelled == 1)


async def test_a_cancelled_call_is_cancelled_in_the_house(hub, channel):
    hub.hold = asyncio.Event()
    running = call(channel, "ModelInfer")(plain(), metadata=tuple(KEY.items()))
    await _until(lambda: hub.calls)
    running.cancel()
    await _until(lambda: hub.cancelled == 1)


async def _until(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


# ── the repository ───────────────────────────────────────────────────────────────────────────────
async def test_the_repository(client):
    async def states():
        index = await client.get_model_repository_index(headers=KEY)
        return {one.version: one.state for one in index.models if one.name == "echo"}

    assert await states() == {"1": "READY", "2": "UNAVAILABLE"}
    await client.load_model("echo/versions/2", headers=ENGINEER)
    assert await states() == {"1": "READY", "2": "READY"}
    await client.unload_model("echo/versions/2", headers=ENGINEER, unload_dependents=True)
    assert await states() == {"1": "READY", "2": "UNAVAILABLE"}
    for more in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        with pytest.raises(InferenceServerException) as caught:
            await client.load_model("echo", headers=ENGINEER, **more)
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(InferenceServerException) as caught:
        await client.load_model("echo", headers=KEY)
    assert caught.value.status() == "StatusCode.PERMISSION_DENIED"


# ── streams ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_stream_answers_in_the_order_asked(hub, client):
    infer_now = hub.infer

    async def slow_first(principal, call):
        if call.model == "road.echo":
            await asyncio.sleep(0.2)
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
    await _until(lambda: len(hub.calls) == 64)
    await asyncio.sleep(0.05)
    assert len(hub.calls) == 64, "the rest waits outside"
    stream.cancel()
    await _until(lambda: hub.cancelled == 64)


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


# ── statistics ───────────────────────────────────────────────────────────────────────────────────
async def test_statistics_are_in_the_shape_that_clients_know(client):
    found = await client.get_inference_statistics("echo", "2", headers=KEY)
    (one,) = found.model_stats
    assert (one.name, one.version, one.inference_count, one.execution_count) == ("echo", "2", 3, 1)
    assert (one.inference_stats.success.count, one.inference_stats.success.ns) == (1, 5000)
    assert (one.batch_stats[0].batch_size, one.batch_stats[0].compute_infer.ns) == (3, 5000)
    everything = await client.get_inference_statistics(headers=KEY)
    assert len(everything.model_stats) == 4


# ── priority and classification ──────────────────────────────────────────────────────────────────
async def test_the_best_entries_are_wanted_as_texts(client, hub):
    wanted = [triton.InferRequestedOutput("y", class_count=2)]
    answer = await client.infer("echo", given(X), outputs=wanted, priority=2, headers=KEY)
    texts = answer.as_numpy("y")
    assert texts.dtype == object
    assert texts.shape[-1] == min(2, X.shape[-1])
    assert all(b":" in text for text in texts.ravel())
