# /// script
# dependencies = ["kserve==0.21.0"]
# [tool.plaza]
# lock = "kserve"
# ///
"""KServe's InferenceRESTClient, protocol v2, and its types for time-series forecasts."""

import asyncio

import httpx
import numpy as np
import telling
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.rest.timeseries.types import ErrorResponse, ForecastRequest, ForecastResponse

MODEL = "electricity-load-quantiles"
headers = telling.authorisation  # anew for each call: the client writes into it


async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    with telling.call("is_server_live, is_server_ready, is_model_ready"):
        assert await client.is_server_live(telling.URL)
        assert await client.is_server_ready(telling.URL)
        assert await client.is_model_ready(telling.URL, "tiny", headers=headers())
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    for binary in (False, True):
        with telling.call(f"infer, {'binary' if binary else 'JSON'}"):
            tensor = InferInput("x", list(array.shape), "FP32")
            tensor.set_data_from_numpy(array, binary_data=binary)
            request = InferRequest(model_name="identity-fp32", infer_inputs=[tensor])
            answer = await client.infer(
                telling.URL, request, model_name=request.model_name, headers=headers()
            )
            assert np.array_equal(answer.outputs[0].as_numpy(), array)
    with telling.call("infer, FP16 in binary"):
        half = array.astype(np.float16)
        tensor = InferInput("x", list(half.shape), "FP16")
        tensor.set_data_from_numpy(half, binary_data=True)
        request = InferRequest(
            model_name="identity-fp16", infer_inputs=[tensor],
            parameters={"binary_data_output": True},
        )  # fmt: skip
        answer = await client.infer(
            telling.URL, request, model_name=request.model_name, headers=headers()
        )
        assert np.array_equal(answer.outputs[0].as_numpy(), half)
    with telling.call("infer, unknown model"):
        try:
            await client.infer(
                telling.URL,
                InferRequest("nothing", [tensor]),
                model_name="nothing",
                headers=headers(),
            )
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == 404
        else:
            raise AssertionError("404 was expected")
    await client.close()


def forecasts():
    series = [100 + 20 * np.sin(hour / 24 * 2 * np.pi) for hour in range(400)]
    one = {
        "type": "univariate_time_series",
        "name": "load",
        "series": series,
        "frequency": "H",
        "start_timestamp": "2026-01-01T00:00:00",
    }
    asked = ForecastRequest(
        model=MODEL,
        inputs=[one, {**one, "name": "other"}],
        options={"horizon": 6, "quantiles": [0.1, 0.9]},
    )
    path = f"{telling.URL}/v1/timeseries/forecast"
    with telling.call("timeseries.types: ForecastRequest to ForecastResponse"):
        answer = httpx.post(path, json=asked.model_dump(mode="json"), headers=headers(), timeout=30)
        found = ForecastResponse.model_validate(answer.json())
        (output,) = found.outputs
        assert [len(each.mean_forecast) for each in output.content] == [6, 6]
        low, high = (np.array(output.content[0].quantiles[level]) for level in ("0.1", "0.9"))
        assert (low <= high).all()
        assert output.content[0].start_timestamp == "2026-01-17T16:00:00"
    with telling.call("timeseries.types: ErrorResponse"):
        wrong = asked.model_copy(update={"model": "absent"}).model_dump(mode="json")
        refused = httpx.post(path, json=wrong, headers=headers(), timeout=30)
        assert ErrorResponse.model_validate(refused.json()).error.code == "model_not_found"


asyncio.run(main())
forecasts()
telling.end()
