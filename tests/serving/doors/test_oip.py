"""The Open Inference Protocol over REST, field by field."""

import json
import struct

import numpy as np
import pytest

from plaza_core.errors import DeadlineExceeded
from plaza_core.testing import FakeClock

X = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
ROWS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def request(**more):
    return {"inputs": [X], **more}


def binary(document, *tails):
    """(body, headers) of a request with binary tensors."""
    head = json.dumps(document).encode()
    return b"".join((head, *tails)), {"inference-header-content-length": str(len(head))}


def of(answer):
    """The outputs of an answer as {name: values}, from JSON and binary parts alike."""
    size = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    document, tail = json.loads(answer.body[:size]), answer.body[size:]
    values = {}
    for output in document["outputs"]:
        assert output["datatype"] == "FP32"
        length = output.get("parameters", {}).get("binary_data_size")
        if length is None:
            values[output["name"]] = output["data"]
        else:
            assert "data" not in output
            part, tail = tail[:length], tail[length:]
            values[output["name"]] = np.frombuffer(part, "<f4").tolist()
    assert tail == b""
    return values


# ── health and metadata ──────────────────────────────────────────────────────────────────────────
async def test_health(client, hub):
    live, ready = await client.get("/v2/health/live"), await client.get("/v2/health/ready")
    assert (live.status, live.json()) == (200, {"live": True})
    assert (ready.status, ready.json()) == (200, {"ready": True, "live": True})
    hub.is_ready = False
    ready = await client.get("/v2/health/ready")
    assert (ready.status, ready.json()) == (503, {"ready": False, "live": True})
    hub.is_live = False
    assert (await client.get("/v2/health/live")).status == 503


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_server_metadata(client, path):
    body = (await client.get(path)).json()
    tensors = ["binary_tensor_data", "classification", "schedule_policy"]
    models = ["model_configuration", "statistics"]
    repository = ["model_repository", "model_repository(unload_dependents)"]
    extensions = tensors + models + repository
    assert (body["name"], body["extensions"]) == ("plaza", extensions)
    assert body["version"]


async def test_model_metadata(client):
    body = (await client.get("/v2/models/echo")).json()
    assert body == {
        "name": "echo",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "z", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "properties": {
            "version": "1",
            "digest": f"{1:064x}",
            "family": "tensor",
            "provider": "cpu",
            "placement": "CPUExecutionProvider=2",
            "certificate": "0123456789abcdef",
            "pool": "main",
            "address": "/v2/models/echo",
        },
    }


@pytest.mark.parametrize("name", ["echo", "road.echo", "acme.road.echo"])
@pytest.mark.parametrize(("segment", "version"), [("", 1), ("1", 1), ("2", 2), ("champion", 1)])
async def test_names_with_dots_and_versions_by_number_or_alias(client, name, segment, version):
    base = f"/v2/models/{name}" + (f"/versions/{segment}" if segment else "")
    assert (await client.get(base)).json()["properties"]["version"] == str(version)
    assert (await client.get(f"{base}/ready")).json() == {"name": name, "ready": True}
    body = (await client.post(f"{base}/infer", request())).json()
    assert (body["model_name"], body["model_version"]) == (name, str(version))


@pytest.mark.parametrize("tail", ["", "/ready", "/infer", "/versions/3/infer", "/versions/nobody"])
async def test_an_unknown_model_or_version_is_404(client, tail):
    model = "echo" if "versions" in tail else "nothing"
    method = "POST" if tail.endswith("infer") else "GET"
    answer = await client.send(method, f"/v2/models/{model}{tail}", request())
    assert answer.problem() == (404, "model_not_found", "model")


async def test_what_is_left_of_a_budget_is_told_where_it_is_known(client, hub):
    hub.budget_remaining = 0
    answer = await client.infer(request())
    assert answer.headers["x-plaza-budget-remaining"] == "0"


@pytest.mark.parametrize("path", ["/v2/models/nothing/infer", "/v1/text/classify"])
async def test_a_refused_inference_says_that_it_cost_nothing(client, path):
    answer = await client.send("POST", path, b"{")
    assert answer.status >= 400
    assert answer.headers["x-plaza-charge"] == "0"
    asked = await client.get("/v2/models/nothing")
    assert "x-plaza-charge" not in asked.headers, "only inference has a price"


# ── infer ────────────────────────────────────────────────────────────────────────────────────────
async def test_json_in_json_out(client):
    answer = await client.infer(request(id="mine", model_name="ignored"))
    assert answer.headers["content-type"] == "application/json"
    usage = {n: v for n, v in answer.headers.items() if n.startswith("x-plaza-")}
    assert usage == {
        "x-plaza-charge": "14",
        "x-plaza-compute-us": "9",
        "x-plaza-host-us": "5",
        "x-plaza-batch-rows": "1",
    }
    assert answer.json() == {
        "model_name": "echo",
        "model_version": "1",
        "id": "mine",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": ROWS},
            {"name": "z", "datatype": "FP32", "shape": [2, 3], "data": [-v for v in ROWS]},
        ],
    }
    assert "id" not in (await client.infer(request())).json()


async def test_binary_in_and_out_in_all_mixtures(client):
    x = {**X, "parameters": {"binary_data_size": 24}}
    del x["data"]
    tail = np.array(ROWS, "<f4").tobytes()
    for outputs, parameters in (
        (None, {}),
        (None, {"binary_data_output": True}),
        ([{"name": "y", "parameters": {"binary_data": True}}], {}),
        ([{"name": "z"}, {"name": "y", "parameters": {"binary_data": True}}], {}),
        ([{"name": "z", "parameters": {"binary_data": False}}, {"name": "y"}],
         {"binary_data_output": True}),
    ):  # fmt: skip
        document = {"inputs": [x], "parameters": parameters}
        if outputs is not None:
            document["outputs"] = outputs
        body, headers = binary(document, tail)
        answer = await client.infer(body, headers=headers)
        both = {"y": ROWS, "z": [-v for v in ROWS]}
        wanted = [output["name"] for output in outputs or ({"name": "y"}, {"name": "z"})]
        assert of(answer) == {name: both[name] for name in wanted}
        assert list(of(answer)) == wanted, "in the order asked for"
        has_tail = "inference-header-content-length" in answer.headers
        media = "application/octet-stream" if has_tail else "application/json"
        assert answer.headers["content-type"] == media
        assert has_tail == bool(parameters or (outputs and "parameters" in outputs[-1]))


async def test_a_raw_body_is_the_one_input(client):
    answer = await client.infer(
        np.array(ROWS[:3], "<f4").tobytes(), headers={"inference-header-content-length": "0"}
    )
    assert of(answer)["y"] == ROWS[:3]
    refused = await client.infer(b"12345", headers={"inference-header-content-length": "0"})
    assert refused.problem() == (400, "invalid_tensor", "x")


async def test_words_travel_as_utf8_or_as_bytes(client):
    x = {"name": "x", "datatype": "BYTES", "shape": [2], "data": ["grüß", "字\x00"]}
    answer = await client.infer({"inputs": [x]}, "words")
    assert answer.json()["outputs"][0]["data"] == ["grüß", "字\x00"]

    tail = b"".join(struct.pack("<I", len(e)) + e for e in (b"\xff\x00", b""))
    x = {**x, "parameters": {"binary_data_size": len(tail)}}
    del x["data"]
    body, headers = binary({"inputs": [x]}, tail)
    refused = await client.infer(body, "words", headers=headers)
    assert refused.problem() == (422, "invalid_input", "y")
    body, headers = binary({"inputs": [x], "parameters": {"binary_data_output": True}}, tail)
    answer = await client.infer(body, "words", headers=headers)
    assert answer.body.endswith(tail)


async def test_large_tensors_leave_the_event_loop_and_come_back_right(client):
    values = list(range(20_000))
    x = {"name": "x", "datatype": "FP64", "shape": [20_000], "data": values}
    assert (await client.infer({"inputs": [x]}, "open")).json()["outputs"][0]["data"] == values


async def test_null_stands_for_not_a_number(client):
    x = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    body, headers = binary({"inputs": [x]}, np.array([np.nan, np.inf, 1], "<f4").tobytes())
    answer = await client.infer(body, headers=headers)
    assert of(answer) == {"y": [None, None, 1], "z": [None, None, -1]}


async def test_the_timeout_parameter_is_the_deadline(client, hub):
    hub.clock = FakeClock()
    now = hub.clock.monotonic_ns()
    await client.infer(request(parameters={"timeout": 1500}))
    await client.infer(request(parameters={"timeout": 0}))
    await client.infer(request())
    assert [call.deadline_ns for call in hub.calls] == [now + 1_500_000, None, None]
    hub.fail = DeadlineExceeded("too late")
    answer = await client.infer(request(parameters={"timeout": 1}))
    assert answer.problem() == (504, "deadline_exceeded", None)


@pytest.mark.parametrize("long_us", [10**12 + 1, 2**63 - 1, 2**64 - 1])
async def test_a_timeout_of_years_is_none_to_speak_of(client, hub, long_us):
    assert (await client.infer(request(parameters={"timeout": long_us}))).status == 200
    assert hub.calls[0].deadline_ns <= hub.clock.monotonic_ns() + 10**15


async def test_parameters_the_hub_does_not_know_are_ignored(client):
    known = await client.infer(request())
    parameters = {"sequence_id": "", "sequence_start": False, "anything": [1, {}]}
    x = {**X, "parameters": {"content_type": "np"}}
    unknown = await client.infer({"inputs": [x], "parameters": parameters, "extra": 1})
    assert known.json() == unknown.json()


@pytest.mark.parametrize(
    ("sent", "meant"), [(0, 5), (1, 1), (9, 9), (10, 5), (2**32, 5), (None, 5)]
)
async def test_a_priority_goes_on_to_the_queue(client, hub, sent, meant):
    await client.infer(request(parameters={"priority": sent}))
    assert hub.calls[0].priority == meant


async def classes(client, hub, count, **parameters):
    """`y` of two rows by three, classified."""
    asked = {"name": "y", "parameters": {"classification": count, **parameters}}
    x = {**X, "data": [0.5, 3, 3, -1, -2, -1.25]}
    return await client.infer({"inputs": [x], "outputs": [asked]})


async def test_classification_names_the_best_of_each_row(client, hub):
    (output,) = (await classes(client, hub, 2)).json()["outputs"]
    assert output == {
        "name": "y",
        "datatype": "BYTES",
        "shape": [2, 2],
        "data": ["3.000000:1", "3.000000:2", "-1.000000:0", "-1.250000:2"],
    }
    assert (await classes(client, hub, 9)).json()["outputs"][0]["shape"] == [2, 3]
    assert (await classes(client, hub, 0)).json()["outputs"][0]["datatype"] == "FP32"


async def test_classification_in_binary_is_bytes_with_their_lengths(client, hub):
    answer = await classes(client, hub, 1, binary_data=True)
    head = int(answer.headers["inference-header-content-length"])
    assert answer.body[head:] == b"\x0a\0\0\x003.000000:1\x0b\0\0\0-1.000000:0"


async def test_what_has_no_order_is_not_classified(client, hub):
    x = {"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    asked = {"name": "y", "parameters": {"classification": 1}}
    answer = await client.infer({"inputs": [x], "outputs": [asked]}, model="words")
    assert answer.problem() == (400, "invalid_tensor", "y")
    assert hub.calls == []


BAD = {
    "no object": (b"[]", "malformed_request", "body"),
    "no inputs": ({}, "malformed_request", "inputs"),
    "empty inputs": ({"inputs": []}, "malformed_request", "inputs"),
    "inputs no list": ({"inputs": {"x": 1}}, "malformed_request", "inputs"),
    "input no object": ({"inputs": [1]}, "malformed_request", "inputs"),
    "input without name": ({"inputs": [{"shape": [1]}]}, "malformed_request", "inputs"),
    "very long name": ({"inputs": [{**X, "name": "x" * 257}]}, "malformed_request", "inputs"),
    "no datatype": ({"inputs": [{"name": "x"}]}, "malformed_request", "x"),
    "no shape": ({"inputs": [{"name": "x", "datatype": "FP32"}]}, "malformed_request", "x"),
    "no data": (
        {"inputs": [{k: v for k, v in X.items() if k != "data"}]}, "malformed_request", "x"),
    "wrong name": ({"inputs": [{**X, "name": "q"}]}, "invalid_tensor", "q"),
    "same name twice": ({"inputs": [X, X]}, "invalid_tensor", "x"),
    "wrong shape": ({"inputs": [{**X, "shape": [3, 2]}]}, "invalid_tensor", "x"),
    "wrong rank": ({"inputs": [{**X, "shape": [6]}]}, "invalid_tensor", "x"),
    "no rows": ({"inputs": [{**X, "shape": [0, 3], "data": []}]}, "invalid_tensor", "x"),
    "wrong datatype": ({"inputs": [{**X, "datatype": "FP64"}]}, "invalid_tensor", "x"),
    "unknown datatype": ({"inputs": [{**X, "datatype": "BF16"}]}, "invalid_tensor", "x"),
    "id no string": (request(id=7), "malformed_request", "id"),
    "parameters no object": (request(parameters=[1]), "malformed_request", "parameters"),
    "timeout no integer": (request(parameters={"timeout": "9"}), "malformed_request", "timeout"),
    "timeout negative": (request(parameters={"timeout": -1}), "malformed_request", "timeout"),
    "timeout true": (request(parameters={"timeout": True}), "malformed_request", "timeout"),
    "flag no flag": (
        request(parameters={"binary_data_output": 1}), "malformed_request", "binary_data_output"),
    "outputs no list": (request(outputs={"name": "y"}), "malformed_request", "outputs"),
    "output without name": (request(outputs=[{}]), "malformed_request", "outputs"),
    "unknown output": (request(outputs=[{"name": "q"}]), "invalid_tensor", "q"),
    "same output twice": (request(outputs=[{"name": "y"}] * 2), "invalid_tensor", "y"),
    "classification no integer": (
        request(outputs=[{"name": "y", "parameters": {"classification": "2"}}]),
        "malformed_request", "classification"),
    "priority no integer": (request(parameters={"priority": 1.0}), "malformed_request", "priority"),
    "priority negative": (
        request(parameters={"priority": -1}), "malformed_request", "priority"),
    "sequence": (request(parameters={"sequence_id": 42}), "bad_request", "sequence_id"),
    "sequence by name": (request(parameters={"sequence_id": "a"}), "bad_request", "sequence_id"),
    "start of a sequence": (
        request(parameters={"sequence_start": True}), "bad_request", "sequence_start"),
    "shared memory": (
        {"inputs": [{**X, "parameters": {"shared_memory_region": "r"}}]}, "bad_request", "x"),
    "both data and binary": (
        {"inputs": [{**X, "parameters": {"binary_data_size": 24}}]}, "malformed_request", "x"),
    "binary size no integer": (
        {"inputs": [{**X, "parameters": {"binary_data_size": "24"}}]}, "malformed_request", "x"),
    "tensor parameters no object": (
        {"inputs": [{**X, "parameters": 1}]}, "malformed_request", "x"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_bad_requests_name_what_is_wrong_and_are_not_run(client, hub, case):
    body, code, where = BAD[case]
    answer = await client.infer(body)
    assert answer.problem() == (400, code, where)
    assert hub.calls == [] or code == "invalid_tensor"


async def test_binary_parts_must_be_whole_and_nothing_may_follow(client):
    x = {"name": "x", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
    tail = bytes(24)
    for extra, where in ((tail[:-1], "x"), (b"", "x"), (tail + b"!", "body")):
        body, headers = binary({"inputs": [x]}, extra)
        answer = await client.infer(body, headers=headers)
        assert answer.problem() == (400, "malformed_request", where)
    wrong = {**x, "parameters": {"binary_data_size": 20}}
    body, headers = binary({"inputs": [wrong]}, tail[:20])
    answer = await client.infer(body, headers=headers)
    assert answer.problem() == (400, "invalid_tensor", "x")
    body, _ = binary({"inputs": [x]}, tail)
    assert (await client.infer(body)).problem()[0] == 400


@pytest.mark.parametrize("length", ["-1", "x", "", "1e2", "100000", "9" * 30, "１", " 7"])
async def test_the_header_length_lies_within_the_body(client, length):
    answer = await client.infer(
        json.dumps(request()).encode(),
        headers={"inference-header-content-length": length.encode().decode("latin-1")},
    )
    assert answer.problem() == (400, "malformed_request", "inference-header-content-length")


async def test_null_is_no_value(client):
    """Clients that write out whole objects send it for whatever was not set."""
    outputs = [{"name": "y", "parameters": {"binary_data": None, "classification": None}}]
    parameters = {"binary_data_output": None, "timeout": None, "priority": None}
    answer = await client.infer(request(outputs=outputs, parameters=parameters))
    assert answer.json()["outputs"][0]["data"]
    x = {**X, "parameters": {"binary_data_size": None}}
    assert (await client.infer({"inputs": [x], "outputs": None, "id": None})).status == 200
