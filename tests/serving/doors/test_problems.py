"""Errors: one status per class, one shape, and nothing of the inside."""

import logging

import pytest

import plaza_core.errors
from plaza_core.errors import PlazaError
from plaza_serving.doors.problems import STATUS, status_of

EXPECTED = {
    "bad_request": 400,
    "malformed_request": 400,
    "invalid_tensor": 400,
    "payload_too_large": 413,
    "unsupported_media": 415,
    "invalid_input": 422,
    "invalid_bundle": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "breaking_change": 409,
    "does_not_fit": 409,
    "model_not_found": 404,
    "pool_not_found": 404,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "idempotency_mismatch": 422,
    "idempotency_in_progress": 409,
    "idempotency_not_kept": 409,
    "target_refused": 422,
    "rate_limited": 429,
    "concurrency_exceeded": 429,
    "quota_exceeded": 429,
    "overloaded": 503,
    "unavailable": 503,
    "ledger_unavailable": 503,
    "model_loading": 503,
    "forwarding_busy": 503,
    "pool_unavailable": 503,
    "pool_lost": 502,
    "provider_unavailable": 503,
    "sandbox_unavailable": 503,
    "not_certified": 503,
    "cell_died": 503,
    "quarantined": 503,
    "deadline_exceeded": 504,
    "model_failed": 500,
    "internal": 500,
    "damaged_index": 500,
}
CLASSES = [
    kind
    for kind in vars(plaza_core.errors).values()
    if isinstance(kind, type) and issubclass(kind, PlazaError)
]
GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


def test_every_code_has_its_status():
    assert {kind.code: status_of(kind("x")) for kind in CLASSES} == EXPECTED
    assert set(STATUS) <= set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
async def test_an_error_of_the_plane_reaches_the_caller(hub, client, kind):
    hub.fail = kind("what happened", input="x")
    answer = await client.infer(GOOD)
    assert answer.problem() == (EXPECTED[kind.code], kind.code, "x")
    assert answer.json()["error"] == "what happened"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("given", "told"), [(0.01, "1"), (1.0, "1"), (1.2, "2"), (60, "60")])
async def test_retry_after_is_rounded_up_to_whole_seconds(hub, client, given, told):
    hub.fail = plaza_core.errors.RateLimited("slow down", retry_after=given)
    assert (await client.infer(GOOD)).headers["retry-after"] == told


@pytest.mark.parametrize(
    ("kind", "told"),
    [("RateLimited", True), ("Overloaded", True), ("LedgerUnavailable", True),
     ("QuotaExceeded", False), ("InvalidTensor", False), ("DeadlineExceeded", False),
     ("SandboxUnavailable", False)],
)  # fmt: skip
async def test_only_those_who_may_try_again_are_told_when(hub, client, kind, told):
    hub.fail = getattr(plaza_core.errors, kind)("x")
    assert ("retry-after" in (await client.infer(GOOD)).headers) is told


async def test_a_bug_is_internal_and_says_nothing(hub, client, caplog):
    hub.fail = ValueError("/srv/secret/path: payload 4711")
    with caplog.at_level(logging.ERROR):
        answer = await client.infer(GOOD)
    assert answer.problem() == (500, "internal", None)
    assert answer.json()["error"] == "the hub failed to answer this request"
    (record,) = caplog.records
    line = record.getMessage()
    assert answer.headers["x-request-id"] in line
    assert "ValueError" in line
    assert "in infer" in line, "the frames are in the log"
    assert "4711" not in caplog.text, "the message may quote a payload"
