# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# ///
"""tritonclient.grpc: every call of the synchronous client that this hub offers."""

import queue

import numpy as np
import telling
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

TYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
         "FP16", "FP32", "FP64", "BYTES")  # fmt: skip
MANY = 100
client = triton.InferenceServerClient(telling.GRPC)
mine = {"headers": telling.metadata()}


def given(array, datatype="FP32"):
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


def refused(status, ask):
    try:
        ask()
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{status}", error
    else:
        raise AssertionError(f"{status} was expected")


with telling.call("is_server_live, is_server_ready, is_model_ready"):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", **mine)
    assert not client.is_model_ready("nothing", **mine)
with telling.call("get_server_metadata"):
    about = client.get_server_metadata(**mine)
    assert {"classification", "statistics", "model_configuration"} <= set(about.extensions)
with telling.call("get_model_metadata, get_model_config, as messages and as JSON"):
    metadata = client.get_model_metadata("tiny", **mine)
    config = client.get_model_config("tiny", **mine).config
    assert list(metadata.inputs[0].shape) == [-1, *config.input[0].dims]
    assert client.get_model_config("tiny", as_json=True, **mine)["config"]["name"] == "tiny"
for datatype in TYPES:
    with telling.call(f"infer, {datatype}"):
        if datatype == "BYTES":
            array = np.array([["Straße".encode(), b"", b"\x00x"]], object)
        else:
            array = np.array([[0, 1, 1]], triton_to_np_dtype(datatype))
        answer = client.infer(
            f"identity-{datatype.lower()}", given(array, datatype), request_id="mine", **mine
        )
        assert np.array_equal(answer.as_numpy("y"), array)
        assert answer.get_response().id == "mine"

ones = np.ones((2, 4), np.float32)
plain = client.infer("tiny", given(ones), **mine).as_numpy("y")
for algorithm in ("gzip", "deflate"):
    with telling.call(f"infer with compression_algorithm {algorithm}"):
        answer = client.infer("tiny", given(ones), compression_algorithm=algorithm, **mine)
        assert np.array_equal(answer.as_numpy("y"), plain)
with telling.call("infer with class_count"):
    asked = [triton.InferRequestedOutput("y", class_count=2)]
    found = client.infer("tiny", given(ones), outputs=asked, **mine).as_numpy("y")
    best = [int(text.decode().split(":")[1]) for text in found[0]]
    assert best == np.argsort(-plain[0], kind="stable")[:2].tolist()
with telling.call("infer with priority, timeout, client_timeout, parameters, a version"):
    client.infer(
        "tiny", given(ones), model_version="1", priority=1, timeout=5_000_000, client_timeout=5,
        parameters={"of_mine": "anything"}, **mine,
    )  # fmt: skip
with telling.call(f"async_infer, {MANY} at once"):
    answers = queue.SimpleQueue()
    for number in range(MANY):
        tensors = given(np.full((1, 3), number, np.float32))
        client.async_infer(
            "identity-fp32", tensors, lambda result, error: answers.put((result, error)),
            request_id=str(number), **mine,
        )  # fmt: skip
    for _ in range(MANY):
        result, error = answers.get(timeout=30)
        assert error is None, error
        assert int(result.get_response().id) == result.as_numpy("y")[0, 0]
with telling.call(f"start_stream, async_stream_infer, {MANY} in order, an error among them"):
    answers = queue.SimpleQueue()
    client.start_stream(lambda result, error: answers.put((result, error)), **mine)
    for number in range(MANY):
        name = "nothing" if number == 50 else "identity-fp32"
        client.async_stream_infer(name, given(np.full((1, 3), number, np.float32)))
    for number in range(MANY):
        result, error = answers.get(timeout=30)
        assert (error is not None) == (number == 50), error
        assert error is not None or result.as_numpy("y")[0, 0] == number
    client.stop_stream()
with telling.call("get_inference_statistics"):
    (found,) = client.get_inference_statistics("tiny", "1", **mine).model_stats
    assert found.inference_count >= found.execution_count > 0
    assert found.inference_stats.success.count >= 1
with telling.call("get_model_repository_index, load_model, unload_model"):
    index = client.get_model_repository_index(**mine).models
    assert ("tiny", "READY") in {(one.name, one.state) for one in index}
    client.load_model("mine", headers=telling.metadata(telling.ENGINEER_KEY))
    client.unload_model("mine", headers=telling.metadata(telling.ENGINEER_KEY))
with telling.call("infer, 12 MB there and back; 20 MB are refused, and the connection serves on"):
    large = np.zeros((1, 3_000_000), np.float32)
    answer = client.infer("identity-fp32", given(large), **mine)
    assert np.array_equal(answer.as_numpy("y"), large)
    larger = np.zeros((1, 5_000_000), np.float32)
    refused("RESOURCE_EXHAUSTED", lambda: client.infer("identity-fp32", given(larger), **mine))
    client.infer("tiny", given(ones), **mine)
with telling.call("KeepAliveOptions"):
    options = triton.KeepAliveOptions(keepalive_time_ms=5000, keepalive_timeout_ms=1000)
    with triton.InferenceServerClient(telling.GRPC, keepalive_options=options) as kept:
        assert kept.is_server_live()
with telling.call("errors: unknown model, wrong tensor, sequence, shared memory, no key"):
    refused("NOT_FOUND", lambda: client.infer("nothing", given(ones), **mine))
    refused("INVALID_ARGUMENT", lambda: client.infer("tiny", given(ones[:, :2]), **mine))
    refused("INVALID_ARGUMENT", lambda: client.infer("tiny", given(ones), sequence_id=1, **mine))
    refused("UNIMPLEMENTED", lambda: client.get_system_shared_memory_status(**mine))
    refused("UNAUTHENTICATED", lambda: client.infer("tiny", given(ones)))
client.close()
telling.end()
