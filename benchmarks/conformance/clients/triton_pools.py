# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# pools = true
# ///
"""tritonclient, all four: a model of another pool, at the one address of each protocol."""

import asyncio
import queue

import numpy as np
import telling
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio

HERE, ELSEWHERE = "tiny", "elsewhere"
"""The same numbers in both, in another pool and on another accelerator."""
MANY = 50
X = np.arange(8, dtype=np.float32).reshape(2, 4)


def given(client):
    tensor = client.InferInput("x", list(X.shape), "FP32")
    tensor.set_data_from_numpy(X)
    return [tensor]


def same(*answers):
    first, *others = (answer.as_numpy("y") for answer in answers)
    return all(np.allclose(first, other, rtol=1e-3, atol=1e-3) for other in others)


def over_http():
    http = tritonclient.http
    mine = telling.authorisation
    with http.InferenceServerClient(telling.HOST) as hub:
        with telling.call("http: ready, metadata, config, infer, statistics"):
            assert hub.is_model_ready(ELSEWHERE, headers=mine())
            assert hub.get_model_config(ELSEWHERE, headers=mine())["name"] == ELSEWHERE
            here, there = (
                hub.infer(model, given(http), headers=mine()) for model in (HERE, ELSEWHERE)
            )
            assert same(here, there)
            (told,) = hub.get_inference_statistics(ELSEWHERE, headers=mine())["model_stats"]
            assert told["inference_count"] > 0
        with telling.call("http: the direct address that the metadata names"):
            about = hub.get_model_metadata(ELSEWHERE, headers=mine())["properties"]
            assert about["pool"] != "main"
            prefix, _, _ = about["address"].partition("/v2/")
            with http.InferenceServerClient(telling.HOST + prefix) as direct:
                assert same(direct.infer(ELSEWHERE, given(http), headers=mine()), there)


def over_grpc():
    grpc = tritonclient.grpc
    mine = {"headers": telling.metadata()}
    with grpc.InferenceServerClient(telling.GRPC) as hub:
        with telling.call("grpc: ready, metadata, config, infer, statistics"):
            assert hub.is_model_ready(ELSEWHERE, **mine)
            assert hub.get_model_metadata(ELSEWHERE, **mine).name == ELSEWHERE
            assert hub.get_model_config(ELSEWHERE, **mine).config.name == ELSEWHERE
            assert same(*(hub.infer(model, given(grpc), **mine) for model in (HERE, ELSEWHERE)))
            (told,) = hub.get_inference_statistics(ELSEWHERE, **mine).model_stats
            assert told.inference_count > 0
        with telling.call(f"grpc: a stream whose {MANY} messages go to both pools in turn"):
            answers = queue.SimpleQueue()
            hub.start_stream(lambda result, error: answers.put((result, error)), **mine)
            for number in range(MANY):
                hub.async_stream_infer(
                    (HERE, ELSEWHERE)[number % 2], given(grpc), request_id=str(number)
                )
            found = [answers.get(timeout=30) for _ in range(MANY)]
            hub.stop_stream()
            assert [str(error) for _, error in found if error] == []
            told = [result.get_response() for result, _ in found]
            assert [one.id for one in told] == [str(number) for number in range(MANY)]
            assert {one.model_name for one in told[1::2]} == {ELSEWHERE}


async def at_once():
    for name, client, address, mine in (
        ("http.aio", tritonclient.http.aio, telling.HOST, telling.authorisation),
        ("grpc.aio", tritonclient.grpc.aio, telling.GRPC, telling.metadata),
    ):
        with telling.call(f"{name}: infer, {MANY} at once, half of them for another pool"):
            async with client.InferenceServerClient(address) as hub:
                asked = [
                    hub.infer((HERE, ELSEWHERE)[number % 2], given(client), headers=mine())
                    for number in range(MANY)
                ]
                assert same(*await asyncio.gather(*asked))


over_http()
over_grpc()
asyncio.run(at_once())
telling.end()
