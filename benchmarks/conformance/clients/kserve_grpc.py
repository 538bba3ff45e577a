# /// script
# dependencies = ["kserve==0.21.0"]
# [tool.plaza]
# lock = "kserve"
# ///
"""KServe's InferenceGRPCClient, whose messages are the Open Inference Protocol's own."""

import asyncio

import grpc
import numpy as np
import telling
from kserve import InferenceGRPCClient, InferInput, InferRequest

mine = tuple(telling.metadata().items())


async def main():
    client = InferenceGRPCClient(telling.GRPC)
    with telling.call("is_server_live, is_server_ready, is_model_ready"):
        assert await client.is_server_live(headers=mine)
        assert await client.is_server_ready(headers=mine)
        assert await client.is_model_ready("tiny", headers=mine)
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    for binary in (False, True):
        with telling.call(f"infer, {'raw' if binary else 'typed'} contents"):
            tensor = InferInput("x", list(array.shape), "FP32")
            tensor.set_data_from_numpy(array, binary_data=binary)
            request = InferRequest("identity-fp32", [tensor], request_id="mine")
            answer = await client.infer(request, headers=mine)
            assert np.array_equal(answer.outputs[0].as_numpy(), array)
            assert answer.id == "mine"
    with telling.call("infer, unknown model"):
        try:
            await client.infer(InferRequest("nothing", [tensor]), headers=mine)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND
        else:
            raise AssertionError("NOT_FOUND was expected")
    await client.close()


asyncio.run(main())
telling.end()
