# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# ///
"""tritonclient.http: every call of the synchronous client that this hub offers."""

import numpy as np
import telling
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

TYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
         "FP16", "FP32", "FP64", "BYTES")  # fmt: skip
client = triton.InferenceServerClient(telling.HOST)
headers = telling.authorisation


def given(array, datatype="FP32", binary=True):
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


def refused(status, ask):
    try:
        ask()
    except InferenceServerException as error:
        assert error.status() == status, error
    else:
        raise AssertionError(f"{status} was expected")


with telling.call("is_server_live, is_server_ready, is_model_ready"):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny", headers=headers())
    assert not client.is_model_ready("nothing", headers=headers())
with telling.call("get_server_metadata"):
    about = client.get_server_metadata(headers=headers())
    assert {"classification", "statistics", "model_configuration"} <= set(about["extensions"])
with telling.call("get_model_metadata, get_model_config"):
    metadata = client.get_model_metadata("tiny", headers=headers())
    config = client.get_model_config("tiny", headers=headers())
    assert metadata["inputs"][0]["shape"] == [-1, *config["input"][0]["dims"]]
    assert metadata["outputs"][0]["name"] == config["output"][0]["name"]

for datatype in TYPES:
    with telling.call(f"infer, {datatype}, binary and JSON both ways"):
        if datatype == "BYTES":
            array = np.array([["Straße".encode(), b"", b"x"]], object)
        else:
            array = np.array([[0, 1, 1]], triton_to_np_dtype(datatype))
        ways = (True,) if datatype == "FP16" else (True, False)
        for sent in ways:
            for got in ways:
                asked = [triton.InferRequestedOutput("y", binary_data=got)]
                answer = client.infer(
                    f"identity-{datatype.lower()}", given(array, datatype, sent),
                    outputs=asked, request_id="mine", headers=headers(),
                )  # fmt: skip
                back = answer.as_numpy("y")
                if datatype == "BYTES" and not got:
                    back = np.array([[text.encode() for text in row] for row in back], object)
                assert np.array_equal(back, array), back
                assert answer.get_response()["id"] == "mine"

ones = np.ones((2, 4), np.float32)
plain = client.infer("tiny", given(ones), headers=headers()).as_numpy("y")
for algorithm in ("gzip", "deflate"):
    with telling.call(f"infer with a {algorithm} body and asking for one"):
        answer = client.infer(
            "tiny", given(ones), headers=headers(),
            request_compression_algorithm=algorithm, response_compression_algorithm=algorithm,
        )  # fmt: skip
        assert np.array_equal(answer.as_numpy("y"), plain)
with telling.call("infer with class_count"):
    asked = [triton.InferRequestedOutput("y", class_count=2)]
    found = client.infer("tiny", given(ones), outputs=asked, headers=headers()).as_numpy("y")
    best = [int(text.decode().split(":")[1]) for text in found[0]]
    assert best == np.argsort(-plain[0], kind="stable")[:2].tolist()
with telling.call("infer with priority and timeout"):
    client.infer("tiny", given(ones), priority=1, timeout=5_000_000, headers=headers())
with telling.call("async_infer"):
    waiting = [client.async_infer("tiny", given(ones), headers=headers()) for _ in range(16)]
    assert all(np.array_equal(one.get_result().as_numpy("y"), plain) for one in waiting)
with telling.call("get_inference_statistics"):
    before, after = (
        client.get_inference_statistics("tiny", "1", headers=headers())["model_stats"][0]
        for _ in range(2)
    )
    assert before["inference_stats"]["success"]["count"] >= 1
    assert after["inference_count"] >= before["inference_count"] > 0
with telling.call("get_model_repository_index, load_model, unload_model"):
    index = client.get_model_repository_index(headers=headers())
    assert ("tiny", "READY") in {(one["name"], one["state"]) for one in index}
    client.load_model("mine", headers=headers(telling.ENGINEER_KEY))
    client.unload_model("mine", headers=headers(telling.ENGINEER_KEY))
with telling.call("infer, 12 MB there and back; 20 MB are refused"):
    large = np.zeros((1, 3_000_000), np.float32)
    answer = client.infer("identity-fp32", given(large), headers=headers())
    assert np.array_equal(answer.as_numpy("y"), large)
    larger = np.zeros((1, 5_000_000), np.float32)
    refused("413", lambda: client.infer("identity-fp32", given(larger), headers=headers()))
with telling.call("errors: unknown model, wrong tensor, sequence, no key"):
    refused("404", lambda: client.infer("nothing", given(ones), headers=headers()))
    refused("400", lambda: client.infer("tiny", given(ones[:, :2]), headers=headers()))
    refused(
        "400",
        lambda: client.infer("tiny", given(ones), sequence_id=1, headers=headers()),
    )
    refused("401", lambda: client.infer("tiny", given(ones)))
telling.end()
