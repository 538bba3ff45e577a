"""The bypass and Ray Serve's own path give equal answers, refusals included."""

import httpx
import pytest

from tests.hub.test_refusals import binary, huge_png, infer_body

pytestmark = pytest.mark.hub

VARIES = {
    "x-request-id", "date", "server", "x-plaza-charge", "x-plaza-compute-us", "x-plaza-host-us",
}  # fmt: skip


def exchange(url, key, method, path, content=b"", headers=None):
    answer = httpx.request(
        method,
        url + path,
        content=content,
        headers={"authorization": f"Bearer {key}"} | (headers or {}),
    )
    said = {name: value for name, value in answer.headers.items() if name not in VARIES}
    body = answer.text.replace(answer.headers.get("x-request-id", "-"), "ID")
    return answer.status_code, said, body


REQUESTS = [
    ("GET", "/v2", b"", {}),
    ("GET", "/v2/health/live", b"", {}),
    ("GET", "/v2/models/tiny", b"", {}),
    ("POST", "/v2/models/tiny/infer", infer_body().encode(), {}),
    ("POST", "/v2/models/tiny/infer", *binary(b"\0\0\x80\x3f" * 4)),
    ("POST", "/v2/models/tiny/infer", infer_body(name="z").encode(), {}),
    ("POST", "/v2/models/tiny/infer", b"{", {}),
    ("POST", "/v2/models/nothing/infer", infer_body().encode(), {}),
    ("POST", "/v2/models/tiny/infer", infer_body().encode(), {"authorization": "Bearer x"}),
    ("POST", "/v2/models/tiny/infer", infer_body().encode(), {"x-request-timeout-seconds": "0"}),
    ("PUT", "/v2/models/tiny/infer", b"", {}),
    ("GET", "/pools/nothing/v2", b"", {}),
    ("GET", "/no/such/path", b"", {}),
    ("POST", "/v1/vision/detect?model=tiny", huge_png(), {"content-type": "image/png"}),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r[0]} {r[1]}")
def test_equal_answers(hub, plain, request_):
    ours = exchange(hub.url, hub.admin_key, *request_)
    theirs = exchange(plain.url, plain.admin_key, *request_)
    assert ours == theirs
    assert ours[0] != 500
