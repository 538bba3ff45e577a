"""The synchronous `tritonclient.http` as a program of its own: it brings gevent along.

    python triton_sync.py HOST:PORT KEY

Prints one line per check that held and ends with 0, or with a traceback.
"""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

NUMERIC = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
REAL = ["FP16", "FP32", "FP64"]


def sample(datatype):
    if datatype == "BOOL":
        return np.array([[True, False, True]])
    if datatype == "BYTES":
        return np.array([["grüße".encode(), b"", "字".encode()]], dtype=object)
    dtype = triton_to_np_dtype(datatype)
    if datatype in REAL:
        return np.array([[0.1, -2.5, np.finfo(dtype).max]], dtype)
    return np.array([[np.iinfo(dtype).min, 1, np.iinfo(dtype).max]], dtype)


def main(url, key):
    client = triton.InferenceServerClient(url)

    def headers():  # anew for each call: the client writes its own into the dictionary
        return {"Authorization": f"Bearer {key}"}

    assert client.is_server_live()
    assert client.is_server_ready()
    assert "model_repository" in client.get_server_metadata(headers())["extensions"]
    for datatype in ["BOOL", *NUMERIC, *REAL, "BYTES"]:
        model = f"identity-{datatype.lower()}"
        assert client.is_model_ready(model, headers=headers())
        assert client.is_model_ready(model, "2", headers=headers())
        metadata = client.get_model_metadata(model, headers=headers())
        assert metadata["inputs"] == [{"name": "x", "datatype": datatype, "shape": [-1, 3]}]
        array = sample(datatype)
        for sent in (True, False):
            for got in (True, False):
                given = triton.InferInput("x", [1, 3], datatype)
                given.set_data_from_numpy(array, binary_data=sent)
                wanted = [triton.InferRequestedOutput("y", binary_data=got)]
                answer = client.infer(
                    model, [given], outputs=wanted, request_id="mine", headers=headers()
                )
                back = answer.as_numpy("y")
                assert (back.dtype, back.shape) == (array.dtype, array.shape)
                shown = back if got or datatype != "BYTES" else np.char.encode(back.astype(str))
                assert np.array_equal(shown.astype(array.dtype), array), (datatype, sent, got)
                assert answer.get_response()["id"] == "mine"
        print("round trips of", datatype)  # noqa: T201 the parent reads it
    two_outputs(client, headers)
    errors(client, headers)
    extensions(client, headers)
    repository(client)


def two_outputs(client, headers):
    given = triton.InferInput("x", [2, 3], "FP32")
    given.set_data_from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3))
    answer = client.infer("both", [given], headers=headers())
    assert answer.as_numpy("plus").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert answer.as_numpy("minus").tolist() == [[-1, 0, 1], [2, 3, 4]]
    only = client.infer(
        "both", [given], outputs=[triton.InferRequestedOutput("minus")], headers=headers()
    )
    assert only.as_numpy("plus") is None
    assert [output["name"] for output in only.get_response()["outputs"]] == ["minus"]
    for algorithm in ("gzip", "deflate"):
        packed = client.infer(
            "both",
            [given],
            headers=headers(),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert packed.as_numpy("plus").tolist() == answer.as_numpy("plus").tolist()
    later = client.infer(
        "both", [given], model_version="2", timeout=5_000_000, priority=1, headers=headers()
    )
    assert later.get_response()["model_version"] == "2"
    waiting = [client.async_infer("both", [given], headers=headers()) for _ in range(8)]
    assert all(one.get_result().as_numpy("plus")[0, 0] == 1 for one in waiting)
    print("outputs, compression, versions, parameters, async_infer")  # noqa: T201 as above


def errors(client, headers):
    given = triton.InferInput("q", [1, 3], "FP32")
    given.set_data_from_numpy(np.zeros((1, 3), np.float32))
    cases = (
        ("400", lambda: client.infer("both", [given], headers=headers())),
        ("404", lambda: client.get_model_metadata("nothing", headers=headers())),
        ("401", client.get_server_metadata),
        ("404", lambda: client.get_model_config("nothing", headers=headers())),
    )
    for status, ask in cases:
        try:
            ask()
        except InferenceServerException as error:
            assert error.status() == status  # noqa: PT017 no pytest in this program
            assert error.message()  # noqa: PT017 as above
        else:
            raise AssertionError(f"expected {status}")
    assert not client.is_model_ready("nothing", headers=headers())
    print("errors")  # noqa: T201 as above


def extensions(client, headers):
    config = client.get_model_config("both", headers=headers())
    assert [one["dims"] for one in config["input"]] == [[3]]
    assert config["max_batch_size"] > 0
    (first, second) = client.get_inference_statistics("both", headers=headers())["model_stats"]
    assert (first["version"], second["version"]) == ("1", "2")
    given = triton.InferInput("x", [2, 3], "FP32")
    given.set_data_from_numpy(np.array([[0, 5, 1], [9, 0, 3]], np.float32))
    for binary in (True, False):
        wanted = triton.InferRequestedOutput("plus", binary_data=binary, class_count=2)
        answer = client.infer("both", [given], outputs=[wanted], priority=1, headers=headers())
        best = answer.as_numpy("plus").astype(str).tolist()
        assert best == [["6.000000:1", "2.000000:2"], ["10.000000:0", "4.000000:2"]], best
    try:
        client.infer("both", [given], sequence_id=7, sequence_start=True, headers=headers())
    except InferenceServerException as error:
        assert error.status() == "400"  # noqa: PT017 no pytest in this program
    else:
        raise AssertionError("a sequence was taken")
    print("configuration, statistics, classification, priority")  # noqa: T201 as above


def repository(client):
    def engineer():
        return {"Authorization": "Bearer engineer"}

    def is_open(version):
        index = client.get_model_repository_index(engineer())
        (state,) = [
            one["state"] for one in index if (one["name"], one["version"]) == ("both", version)
        ]
        return state == "READY"

    assert (is_open("1"), is_open("2")) == (True, False)
    client.load_model("both/versions/2", engineer())
    assert is_open("2")
    client.unload_model("both/versions/2", engineer())
    assert not is_open("2")
    print("repository")  # noqa: T201 as above


if __name__ == "__main__":
    main(*sys.argv[1:])
