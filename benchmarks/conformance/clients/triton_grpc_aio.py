# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# ///
"""tritonclient.grpc.aio: many at once, each gets its own answer; a stream."""

import asyncio

import numpy as np
import telling
import tritonclient.grpc.aio as triton

MANY = 200
mine = {"headers": telling.metadata()}


def given(value):
    tensor = triton.InferInput("x", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.full((1, 3), value, np.float32))
    return [tensor]


async def asked():
    for value in range(MANY):
        yield {"model_name": "identity-fp32", "inputs": given(value), "request_id": str(value)}


async def main():
    async with triton.InferenceServerClient(telling.GRPC) as client:

        async def one(value):
            answer = await client.infer(
                "identity-fp32", given(value), request_id=str(value), **mine
            )
            assert answer.get_response().id == str(value)
            return answer.as_numpy("y")[0, 0]

        with telling.call("is_server_live, is_server_ready, is_model_ready, metadata, config"):
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("tiny", **mine)
            await client.get_server_metadata(**mine)
            await client.get_model_metadata("tiny", **mine)
            await client.get_model_config("tiny", **mine)
        with telling.call(f"infer, {MANY} at once"):
            assert await asyncio.gather(*map(one, range(MANY))) == list(range(MANY))
        with telling.call(f"stream_infer, {MANY} in order"):
            found = []
            async for result, error in client.stream_infer(asked(), **mine):
                assert error is None, error
                found.append(result.as_numpy("y")[0, 0])
                if len(found) == MANY:
                    break
            assert found == list(range(MANY))
        with telling.call("get_inference_statistics, get_model_repository_index"):
            found = await client.get_inference_statistics("identity-fp32", **mine)
            assert found.model_stats[0].inference_count > 0
            assert (await client.get_model_repository_index(**mine)).models


asyncio.run(main())
telling.end()
