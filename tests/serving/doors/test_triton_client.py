"""Unmodified tritonclient against the door on a real socket, with models run by ONNX Runtime.

The asyncio client runs here; the synchronous one in `triton_sync.py`, because it needs gevent.
"""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.http.aio as triton
import uvicorn
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from plaza_core.tensors import NUMPY, DType
from plaza_serving.doors.http import HttpDoor
from tests.stock import stock_client

ONNX_TYPES = {
    DType.BOOL: TensorProto.BOOL,
    DType.FP16: TensorProto.FLOAT16,
    DType.FP32: TensorProto.FLOAT,
    DType.FP64: TensorProto.DOUBLE,
    DType.BYTES: TensorProto.STRING,
    **{d: getattr(TensorProto, d.value) for d in DType if "INT" in d.value},
}


def authorised():
    """Headers anew for each call: the client writes its own into the dictionary it is given."""
    return {"Authorization": "Bearer consumer"}


def session(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def runner(opened):
    """Tensors to tensors; strings are text inside ONNX Runtime and bytes outside."""
    names = [output.name for output in opened.get_outputs()]

    def run(tensors):
        given = {
            name: np.vectorize(bytes.decode, otypes=[object])(array)
            if array.dtype == object
            else array
            for name, array in tensors.items()
        }
        made = opened.run(names, given)
        return {
            name: np.vectorize(str.encode, otypes=[object])(array)
            if array.dtype == object
            else array
            for name, array in zip(names, made, strict=True)
        }

    return run


def value(name, onnx_type):
    return helper.make_tensor_value_info(name, onnx_type, ["batch", 3])


def entry(name, datatype):
    return {"name": name, "datatype": datatype, "shape": ["batch", 3]}


@pytest.fixture(scope="module")
def served(new_hub, new_repository, settings):
    """HOST:PORT of a uvicorn in a thread."""
    hub = new_hub()
    for datatype, onnx_type in ONNX_TYPES.items():
        node = helper.make_node("Identity", ["x"], ["y"])
        opened = session([node], [value("x", onnx_type)], [value("y", onnx_type)])
        signature = {"inputs": [entry("x", datatype)], "outputs": [entry("y", datatype)]}
        hub.add(f"identity-{datatype.lower()}", {"signature": signature}, runner(opened))
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("Add", ["x", "one"], ["plus"]),
        helper.make_node("Sub", ["x", "one"], ["minus"]),
    ]
    both = [value("plus", TensorProto.FLOAT), value("minus", TensorProto.FLOAT)]
    opened = session(nodes, [value("x", TensorProto.FLOAT)], both, [one])
    signature = {
        "inputs": [entry("x", "FP32")],
        "outputs": [entry("plus", "FP32"), entry("minus", "FP32")],
    }
    hub.add("both", {"signature": signature}, runner(opened))

    config = uvicorn.Config(
        HttpDoor(hub, settings, repository=new_repository(hub)),
        port=0,
        log_level="warning",
        loop="uvloop",
        http="httptools",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not (server.started or not thread.is_alive()):
        thread.join(0.01)
    (listening,) = server.servers
    yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_synchronous_client(served):
    program = Path(__file__).with_name("triton_sync.py")
    done = subprocess.run(
        [sys.executable, str(program), served, "consumer"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(DType) + 4


@pytest.fixture
async def client(served):
    async with stock_client(served) as client:
        yield client


async def test_health_and_metadata(client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert (await client.get_server_metadata(headers=authorised()))["name"] == "plaza"
    assert await client.is_model_ready("both", headers=authorised())
    assert not await client.is_model_ready("neither", headers=authorised())
    metadata = await client.get_model_metadata("both", "champion", headers=authorised())
    assert [output["name"] for output in metadata["outputs"]] == ["plus", "minus"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", list(DType))
async def test_every_datatype(client, datatype, binary):
    if datatype is DType.BYTES:
        array = np.array([["a", "", "é字"], ["x y", "\x00", '"\\']], object)
    else:
        array = np.array([[0, 1, 0], [1, 1, 0]]).astype(NUMPY[datatype])
    given = triton.InferInput("x", [2, 3], datatype.value)
    given.set_data_from_numpy(array, binary_data=binary)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    answer = await client.infer(
        f"identity-{datatype.lower()}", [given], outputs=wanted, headers=authorised()
    )
    back = answer.as_numpy("y")
    if datatype is DType.BYTES and binary:
        back = np.vectorize(bytes.decode, otypes=[object])(back)
    np.testing.assert_array_equal(back, array)


async def test_not_a_number_survives_both_ways(client):
    array = np.array([[np.nan, 1, 2]], np.float32)
    given = triton.InferInput("x", [1, 3], "FP32")
    given.set_data_from_numpy(array)
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
        answer = await client.infer("identity-fp32", [given], outputs=wanted, headers=authorised())
        np.testing.assert_array_equal(answer.as_numpy("y"), array)


async def test_many_at_once_each_get_their_own_answer(client):
    async def ask(number):
        array = np.full((1, 3), number, np.int64)
        given = triton.InferInput("x", [1, 3], "INT64")
        given.set_data_from_numpy(array)
        answer = await client.infer(
            "identity-int64", [given], request_id=str(number), headers=authorised()
        )
        return answer.get_response()["id"], answer.as_numpy("y")[0, 0]

    answers = await asyncio.gather(*map(ask, range(200)))
    assert answers == [(str(number), number) for number in range(200)]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice
async def test_a_body_over_the_limit_is_413(client):
    array = np.zeros((100_000, 3), np.float32)
    given = triton.InferInput("x", array.shape, "FP32")
    given.set_data_from_numpy(array)
    with pytest.raises(InferenceServerException) as caught:
        await client.infer("both", [given], headers=authorised())
    assert caught.value.status() == "413"


async def test_the_repository(client):
    def engineer():
        return {"Authorization": "Bearer engineer"}

    async def states():
        found = await client.get_model_repository_index(headers=authorised())
        return {one["version"]: one["state"] for one in found if one["name"] == "both"}

    assert await states() == {"1": "READY", "2": "UNAVAILABLE"}
    await client.load_model("both/versions/2", headers=engineer())
    assert await states() == {"1": "READY", "2": "READY"}
    await client.unload_model("both/versions/2", headers=engineer(), unload_dependents=True)
    assert await states() == {"1": "READY", "2": "UNAVAILABLE"}
    for more in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        with pytest.raises(InferenceServerException) as caught:
            await client.load_model("both", headers=engineer(), **more)
        assert caught.value.status() == "422"
    with pytest.raises(InferenceServerException) as caught:
        await client.load_model("both", headers=authorised())
    assert caught.value.status() == "403"
