"""Bad input gets a clear answer over the real wire, and is not billed."""

import contextlib
import http.client
import json
import struct
import zlib

import httpx
import numpy as np
import pytest

from tests.hub.waiting import until

pytestmark = pytest.mark.hub


def infer_body(**changes):
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]} | changes
    return json.dumps({"inputs": [tensor]})


def binary(tail, size=16):
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [1, 4],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": size},
                }
            ]
        }
    ).encode()
    return head + tail, {"inference-header-content-length": str(len(head))}


def huge_png(side=50_000):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


@pytest.mark.parametrize(
    ("status", "code", "culprit", "body", "headers"),
    [
        (400, "invalid_tensor", "z", infer_body(name="z"), {}),
        (400, "invalid_tensor", "x", infer_body(shape=[1, 5]), {}),
        (400, "invalid_tensor", "x", infer_body(shape=[4]), {}),
        (400, "invalid_tensor", "x", infer_body(datatype="FP64"), {}),
        (400, "invalid_tensor", "x", infer_body(datatype="FP33"), {}),
        (400, "invalid_tensor", "x", binary(b"\0" * 12, 12)[0], binary(b"", 12)[1]),
        (400, "malformed_request", None, infer_body().replace("[1,", "[NaN,"), {}),
        (400, "malformed_request", None, "[" * 100_000 + "]" * 100_000, {}),
        (400, "malformed_request", None, *binary(b"\0" * 15)),
        (400, "malformed_request", None, "{", {}),
    ],
)  # fmt: skip
def test_inference(hub, key, status, code, culprit, body, headers):
    answer = httpx.post(
        f"{hub.url}/v2/models/tiny/infer",
        content=body,
        headers={"authorization": f"Bearer {key}", **headers},
    )
    said = answer.json()
    assert (answer.status_code, said["code"]) == (status, code), said
    if culprit:
        assert said["input"] == culprit
    assert said["request_id"] == answer.headers["x-request-id"]
    assert isinstance(said["error"], str)
    assert "/" not in said["error"].replace("application/json", "")
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("header", "model", "status"),
    [
        (None, "tiny", 401),
        ("Bearer nonsense", "tiny", 401),
        ("Basic abc", "tiny", 401),
        ("key", "no-such-model", 404),
    ],
)
def test_keys_and_names(hub, key, header, model, status):
    headers = {} if header is None else {"authorization": header.replace("key", f"Bearer {key}")}
    answer = httpx.post(f"{hub.url}/v2/models/{model}/infer", content=infer_body(), headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_a_body_over_the_limit_is_counted_while_reading(hub, key):
    sent = 0
    port = int(hub.url.rsplit(":", 1)[1])

    def chunks():
        nonlocal sent
        for _ in range(64):
            sent += 1 << 20
            yield b" " * (1 << 20)

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as client:
        # The hub answers while we still send, and then hangs up on us.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.request(
                "POST",
                "/v2/models/tiny/infer",
                chunks(),
                {"authorization": f"Bearer {key}"},
                encode_chunked=True,
            )
        answer = client.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "payload_too_large"
    assert sent < 64 << 20


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"this is no picture", "image/jpeg", 422),
        (huge_png(), "image/png", 422),
        (b"GIF89a" + b"\0" * 40, "image/gif", 415),
    ],
)
def test_pictures(hub, key, content, kind, status):
    detector = hub.detector
    answer = httpx.post(
        f"{hub.url}/v1/vision/detect",
        params={"model": detector},
        content=content,
        headers={"authorization": f"Bearer {key}", "content-type": kind},
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_deadline_that_passed(hub, key):
    body = json.loads(infer_body()) | {"parameters": {"timeout": 1}}
    answer = httpx.post(
        f"{hub.url}/v2/models/tiny/infer",
        json=body,
        headers={"authorization": f"Bearer {key}"},
    )
    assert answer.status_code in {200, 504}
    if answer.status_code == 504:
        assert answer.json()["code"] == "deadline_exceeded"


def test_a_rate_limit_answers_429_with_retry_after(hub, organisation):
    name, _, client = organisation
    hub.admin.orgs.limit(name, per_second=1, burst=2)
    refused = until(lambda: refusal(hub, client))
    assert refused.status == 429
    assert refused.code == "rate_limited"
    assert refused.retry_after > 0


def refusal(hub, client):
    import plaza

    try:
        client.infer("tiny", {"x": np.zeros((1, 4), np.float32)})
    except plaza.PlazaError as error:
        return error
    return False


def test_a_refused_request_is_not_billed(hub, organisation):
    name, key, client = organisation
    before = until(lambda: billed(hub, name) or False)
    for body in ("{", infer_body(name="z")):
        httpx.post(
            f"{hub.url}/v2/models/tiny/infer",
            content=body,
            headers={"authorization": f"Bearer {key}"},
        )
    client.infer("tiny", {"x": np.zeros((1, 4), np.float32)})
    until(lambda: billed(hub, name) == before + 1)


def billed(hub, name):
    rows = hub.admin.usage(organisation=name)
    return sum(row.requests for row in rows)
