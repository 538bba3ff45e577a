"""What the gRPC door says of the hub, its models, their repository and their statistics."""

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from tests.serving.doors.rpc.asking import ENGINEER, KEY


async def test_everybody_may_ask_for_health(hub, client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    hub.is_ready = False
    assert not await client.is_server_ready()


async def test_the_server_and_its_models_describe_themselves(client):
    server = await client.get_server_metadata(headers=KEY)
    assert server.name == "plaza"
    offered = {"model_repository", "statistics", "classification", "schedule_policy"}
    assert offered <= set(server.extensions)
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


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
async def test_orchestrators_ask_for_health_without_a_key(hub, channel, service):
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    asked = b"" if not service else bytes([10, len(service)]) + service.encode()
    assert await check(asked) == b"\x08\x01", "SERVING"
    hub.is_ready = False
    assert await check(asked) == b"\x08\x02", "NOT_SERVING"


async def test_the_health_of_a_service_that_is_not_there_is_not_found(channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x01x")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_model_that_is_not_there_is_not_ready_and_has_no_metadata(client):
    assert await client.is_model_ready("echo", headers=KEY)
    assert await client.is_model_ready("echo", "2", headers=KEY)
    assert not await client.is_model_ready("nothing", headers=KEY)
    with pytest.raises(InferenceServerException) as caught:
        await client.get_model_metadata("nothing", headers=KEY)
    assert caught.value.status() == "StatusCode.NOT_FOUND"


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


async def test_statistics_are_in_the_shape_that_clients_know(client):
    found = await client.get_inference_statistics("echo", "2", headers=KEY)
    (one,) = found.model_stats
    assert (one.name, one.version, one.inference_count, one.execution_count) == ("echo", "2", 3, 1)
    assert (one.inference_stats.success.count, one.inference_stats.success.ns) == (1, 5000)
    assert (one.batch_stats[0].batch_size, one.batch_stats[0].compute_infer.ns) == (3, 5000)
    everything = await client.get_inference_statistics(headers=KEY)
    assert len(everything.model_stats) == 4
