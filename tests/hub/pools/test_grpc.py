"""gRPC against real hubs, by unmodified tritonclient and without any metadata but the key.

One hub has several pools, the other two replicas, which share the port.
"""

import asyncio
import os
import signal
import threading
import time
from functools import partial

import grpc
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from benchmarks import graphs
from benchmarks.hub import running_hub
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

X = np.arange(8, dtype=np.float32).reshape(2, 4)


_when = partial(until, within_s=30, refusal=InferenceServerException)


def _key(hub):
    return {"authorization": f"Bearer {hub.admin_key}"}


def _given(array, datatype="FP32", name="x"):
    tensor = triton.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


@pytest.fixture
def client(hub):
    client = triton.InferenceServerClient(hub.grpc)
    yield client
    client.close()


def test_the_second_pool_changes_nothing_and_has_its_own_address(hub, client):
    assert client.is_server_ready()
    direct = triton.InferenceServerClient(hub.second)
    _when(lambda: direct.is_model_ready("tiny", headers=_key(hub)))
    answers = [
        one.infer("tiny", _given(X), headers=_key(hub)).as_numpy("y") for one in (client, direct)
    ]
    assert np.array_equal(*answers)
    direct.close()


def test_raw_typed_and_text_tensors(hub, client):
    raw = client.infer("tiny", _given(X), request_id="mine", headers=_key(hub))
    assert raw.get_response().id == "mine"
    words = np.array([["grüße".encode(), b""]], dtype=object)
    answer = client.infer("texts", _given(words, "BYTES"), headers=_key(hub))
    assert answer.as_numpy("y").tolist() == words.tolist()
    request = service_pb2.ModelInferRequest(model_name="tiny")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=X.shape)
    tensor.contents.fp32_contents.extend(X.ravel().tolist())
    with grpc.insecure_channel(hub.grpc) as channel:
        ask = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            service_pb2.ModelInferRequest.SerializeToString,
            service_pb2.ModelInferResponse.FromString,
        )
        typed = ask(request, metadata=tuple(_key(hub).items()))
    (output,) = typed.raw_output_contents
    assert output == raw.get_response().raw_output_contents[0]


async def test_a_stream_of_twenty(hub):
    async def asked():
        for number in range(20):
            yield {"model_name": "tiny", "inputs": _given(X + number), "request_id": str(number)}

    async with triton_aio.InferenceServerClient(hub.grpc) as client:
        alone = [
            (await client.infer("tiny", _given(X + n), headers=_key(hub))).as_numpy("y")
            for n in range(20)
        ]
        answers = [one async for one in client.stream_infer(asked(), headers=_key(hub))]
    assert [error for _, error in answers] == [None] * 20
    assert [result.get_response().id for result, _ in answers] == [str(n) for n in range(20)]
    for (result, _), expected in zip(answers, alone, strict=True):
        np.testing.assert_allclose(result.as_numpy("y"), expected, rtol=1e-6)


def test_what_goes_wrong_says_so(hub, client):
    def status(ask):
        with pytest.raises(InferenceServerException) as caught:
            ask()
        return caught.value.status().removeprefix("StatusCode.")

    key = _key(hub)
    assert status(lambda: client.infer("tiny", _given(X))) == "UNAUTHENTICATED"
    wrong = {"authorization": "Bearer plz_wrong"}
    assert status(lambda: client.infer("tiny", _given(X), headers=wrong)) == "UNAUTHENTICATED"
    assert status(lambda: client.infer("nothing", _given(X), headers=key)) == "NOT_FOUND"
    assert status(lambda: client.infer("tiny", _given(X[:, :2]), headers=key)) == "INVALID_ARGUMENT"
    large = np.zeros((300_000, 4), np.float32)
    assert status(lambda: client.infer("tiny", _given(large), headers=key)) == "RESOURCE_EXHAUSTED"
    timed = lambda: client.infer(  # noqa: E731 one of a row
        "slow", _slow(16), headers=key, client_timeout=0.02
    )
    assert status(timed) == "DEADLINE_EXCEEDED"
    late = lambda: client.infer("slow", _slow(16), headers=key, timeout=5_000)  # noqa: E731 as above
    assert status(late) in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}, "refused early, or late"


def _slow(rows):
    spec = graphs.conv(size=64, layers=24).parsed().signature_spec().inputs[0]
    shape = [rows, *spec.shape[1:]]
    return _given(np.zeros(shape, np.float32), name=spec.name)


def test_large_messages_pass(hub, client):
    large = np.random.default_rng(0).random((200_000, 4), np.float32)
    answer = client.infer("tiny", _given(large), headers=_key(hub), timeout=9_000_000)
    assert answer.as_numpy("y").shape[0] == 200_000


async def _seconds(call):
    begin = time.monotonic()
    await call
    return time.monotonic() - begin


async def test_a_cancelled_call_leaves_nothing_behind(hub):
    async with triton_aio.InferenceServerClient(hub.grpc) as client:
        calls = [
            asyncio.create_task(client.infer("slow", _slow(4), headers=_key(hub)))
            for _ in range(20)
        ]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)  # the others are there too
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        left = await _seconds(client.infer("tiny", _given(X), headers=_key(hub)))
        alone = await _seconds(client.infer("slow", _slow(4), headers=_key(hub)))
        assert left < max(1.0, 5 * alone), "the cancelled ones do not run first"


def test_statistics_and_configuration_and_repository(hub, client):
    key = _key(hub)
    before = client.get_inference_statistics("tiny", "1", headers=key).model_stats[0]
    for _ in range(3):
        client.infer("tiny", _given(X), headers=key)
    after = client.get_inference_statistics("tiny", "1", headers=key).model_stats[0]
    assert after.inference_count - before.inference_count == 6
    assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
    config = client.get_model_config("tiny", headers=key).config
    assert list(config.input[0].dims) == [4]
    index = client.get_model_repository_index(headers=key)
    assert ("tiny", "READY") in {(one.name, one.state) for one in index.models}


# ── two replicas ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    place = tmp_path_factory.mktemp("grpc2")
    plenty = {"rate_per_second": 1_000_000, "rate_burst": 1_000_000}
    with running_hub(place / "state", replicas=2, **plenty) as running:
        running.grpc = f"127.0.0.1:{running.environment['PLAZA_GRPC_PORT']}"
        running.admin.models.register(graphs.tiny().write(place / "tiny"), visibility="public")
        yield running


def _listeners(hub):
    port = int(hub.environment["PLAZA_GRPC_PORT"])
    pids = {p.pid for p in hub.descendants()}
    return [
        one
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid in pids
    ]


@pytest.mark.prove
def test_two_replicas_share_the_port_and_one_may_die(pair):
    _when(lambda: len(_listeners(pair)) == 2)
    assert all(one.laddr.ip.endswith("127.0.0.1") for one in _listeners(pair))
    victim = _listeners(pair)[0].pid
    key, failures, answered = _key(pair), [], [[] for _ in range(8)]
    stop = threading.Event()

    def ask(mine):
        client = triton.InferenceServerClient(pair.grpc)
        while not stop.is_set():
            try:
                client.infer("tiny", _given(X), headers=key, client_timeout=5)
                mine.append(True)
            except InferenceServerException as error:
                failures.append(error.status())
                stop.wait(0.01)
        client.close()

    def each_has(more):
        return all(len(mine) > had + more for mine, had in zip(answered, before, strict=True))

    _when(lambda: _both_serve(pair, key))
    threads = [threading.Thread(target=ask, args=(mine,)) for mine in answered]
    for thread in threads:
        thread.start()
    before = [0] * len(threads)
    _when(lambda: each_has(100))
    os.kill(victim, signal.SIGKILL)
    before = [len(mine) for mine in answered]
    _when(lambda: each_has(300))  # clients go on by themselves
    stop.set()
    for thread in threads:
        thread.join(10)
    assert set(failures) <= {"StatusCode.UNAVAILABLE"}
    assert len(failures) <= 16, "each connection of the dead one fails once or twice"
    _when(lambda: len(_listeners(pair)) == 2 and victim not in {o.pid for o in _listeners(pair)})


def _both_serve(hub, key):
    """New connections meet both replicas, and each knows the model."""
    for _ in range(12):
        client = triton.InferenceServerClient(
            hub.grpc, channel_args=[("grpc.use_local_subchannel_pool", 1)]
        )
        ready = client.is_model_ready("tiny", headers=key)
        client.close()
        if not ready:
            return False
    return True
