# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# ///
"""tritonclient.http.aio: many at once, each gets its own answer."""

import asyncio

import numpy as np
import telling
import tritonclient.http.aio as triton

MANY = 200


async def main():
    async with triton.InferenceServerClient(telling.HOST) as client:

        async def one(value):
            array = np.full((1, 3), value, np.float32)
            tensor = triton.InferInput("x", array.shape, "FP32")
            tensor.set_data_from_numpy(array)
            answer = await client.infer(
                "identity-fp32", [tensor], request_id=str(value), headers=telling.authorisation()
            )
            assert answer.get_response()["id"] == str(value)
            return answer.as_numpy("y")[0, 0]

        with telling.call("is_server_live, is_server_ready, is_model_ready, metadata"):
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("tiny", headers=telling.authorisation())
            await client.get_model_metadata("tiny", headers=telling.authorisation())
            await client.get_model_config("tiny", headers=telling.authorisation())
        with telling.call(f"infer, {MANY} at once"):
            answers = await asyncio.gather(*map(one, range(MANY)))
            assert answers == list(range(MANY))
        with telling.call("get_inference_statistics"):
            found = await client.get_inference_statistics(
                "identity-fp32", headers=telling.authorisation()
            )
            assert found["model_stats"][0]["inference_count"] > 0


asyncio.run(main())
telling.end()
