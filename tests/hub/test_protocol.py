"""Unmodified Triton clients against the whole hub."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest
import tritonclient.http.aio as triton

from plaza_core.tensors import NUMPY, DType
from tests.stock import stock_client

pytestmark = pytest.mark.hub

SAMPLES = {
    DType.BOOL: [[True, False]],
    DType.BYTES: np.array([["Straße".encode(), b""]], object),
    **{t: np.array([[1, 2]], NUMPY[t]) for t in DType if t not in {DType.BOOL, DType.BYTES}},
}


@pytest.fixture
async def client(hub, key):
    async with stock_client(hub.url.removeprefix("http://")) as client:
        client.headers = {"authorization": f"Bearer {key}"}
        yield client


BOTH = [
    (datatype, binary)
    for datatype in DType
    for binary in (True, False)
    if binary or datatype is not DType.FP16  # the client itself sends FP16 in binary only
]


@pytest.mark.parametrize(("datatype", "binary"), BOTH)
async def test_every_datatype_comes_back_as_it_went(client, datatype, binary):
    array = np.array(SAMPLES[datatype], NUMPY[datatype])
    tensor = triton.InferInput("x", array.shape, datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = triton.InferRequestedOutput("y", binary_data=binary)
    answer = await client.infer(
        f"identity-{datatype.lower()}",
        [tensor],
        outputs=[wanted],
        request_id="mine",
        headers=client.headers,
    )
    back = answer.as_numpy("y")
    if datatype is DType.BYTES and not binary:  # JSON carries text, and the client leaves it so
        back = np.array([[text.encode() for text in row] for row in back], object)
    np.testing.assert_array_equal(back, array)
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"


async def test_health_and_metadata(client):
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("tiny", headers=client.headers)
    server = await client.get_server_metadata(headers=client.headers)
    assert server["name"] == "plaza"
    model = await client.get_model_metadata("tiny", headers=client.headers)
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]


def test_the_synchronous_client(hub, key):
    program = """
import sys
import numpy as np
import tritonclient.http as triton
url, key = sys.argv[1:]
headers = {"authorization": f"Bearer {key}"}
client = triton.InferenceServerClient(url)
tensor = triton.InferInput("x", [2, 4], "FP32")
tensor.set_data_from_numpy(np.ones((2, 4), np.float32))
once = client.infer("tiny", [tensor], headers=headers).as_numpy("y")
again = client.infer("tiny", [tensor], headers=headers, model_version="1").as_numpy("y")
assert once.shape == (2, 4) and (once == again).all()
later = client.async_infer("tiny", [tensor], headers=headers).get_result()
assert (later.as_numpy("y") == once).all()
"""
    arguments = [hub.url.removeprefix("http://"), key]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60)


async def test_many_at_once_get_their_own_answers(client):
    async def one(value):
        array = np.full((1, 3), value, np.float32)
        tensor = triton.InferInput("x", array.shape, "FP32")
        tensor.set_data_from_numpy(array)
        answer = await client.infer("identity-fp32", [tensor], headers=client.headers)
        return answer.as_numpy("y")[0].tolist()

    answers = await asyncio.gather(*(one(float(n)) for n in range(200)))
    assert answers == [[float(n)] * 3 for n in range(200)]
