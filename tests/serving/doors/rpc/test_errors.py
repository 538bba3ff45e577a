"""Errors over gRPC: each code has its status, and none says more than it should."""

import asyncio
import logging
import time

import grpc
import grpc.aio
import pytest

import plaza_core.errors
from plaza_core.errors import Overloaded, PlazaError, RateLimited
from plaza_serving.doors.brake import FREE
from plaza_serving.doors.rpc.problems import code_of
from tests.serving.doors.rpc.asking import KEY, call, infer, plain, refused

CODES = {
    "bad_request": "INVALID_ARGUMENT",
    "malformed_request": "INVALID_ARGUMENT",
    "invalid_tensor": "INVALID_ARGUMENT",
    "payload_too_large": "RESOURCE_EXHAUSTED",
    "unsupported_media": "INVALID_ARGUMENT",
    "invalid_input": "INVALID_ARGUMENT",
    "invalid_bundle": "INVALID_ARGUMENT",
    "idempotency_mismatch": "INVALID_ARGUMENT",
    "target_refused": "INVALID_ARGUMENT",
    "unauthenticated": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "model_not_found": "NOT_FOUND",
    "pool_not_found": "NOT_FOUND",
    "route_not_found": "UNIMPLEMENTED",
    "method_not_allowed": "UNIMPLEMENTED",
    "conflict": "FAILED_PRECONDITION",
    "does_not_fit": "FAILED_PRECONDITION",
    "breaking_change": "FAILED_PRECONDITION",
    "idempotency_not_kept": "FAILED_PRECONDITION",
    "idempotency_in_progress": "ABORTED",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "concurrency_exceeded": "RESOURCE_EXHAUSTED",
    "quota_exceeded": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "unavailable": "UNAVAILABLE",
    "ledger_unavailable": "UNAVAILABLE",
    "model_loading": "UNAVAILABLE",
    "forwarding_busy": "UNAVAILABLE",
    "pool_unavailable": "UNAVAILABLE",
    "pool_lost": "UNKNOWN",
    "provider_unavailable": "UNAVAILABLE",
    "sandbox_unavailable": "FAILED_PRECONDITION",
    "not_certified": "UNAVAILABLE",
    "cell_died": "UNAVAILABLE",
    "quarantined": "UNAVAILABLE",
    "deadline_exceeded": "DEADLINE_EXCEEDED",
    "model_failed": "INTERNAL",
    "internal": "INTERNAL",
    "damaged_index": "INTERNAL",
}
CLASSES = [
    kind
    for kind in vars(plaza_core.errors).values()
    if isinstance(kind, type) and issubclass(kind, PlazaError)
]


def test_every_code_has_its_status():
    assert {kind.code: code_of(kind("x")).name for kind in CLASSES} == CODES


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
async def test_an_error_of_the_plane_reaches_the_caller(hub, channel, kind):
    hub.fail = kind("what happened", input="größe")
    found = await refused(infer(channel, plain()))
    assert found[:3] == (CODES[kind.code], kind.code, "gr%C3%B6%C3%9Fe")
    assert found[4] == "request-1"


async def test_those_who_may_try_again_are_told_when(hub, channel):
    hub.fail = RateLimited("slow down", retry_after=1.2)
    assert (await refused(infer(channel, plain())))[3] == "2"


async def test_a_bug_is_internal_and_says_nothing(hub, channel, caplog):
    hub.fail = ValueError("/srv/secret/path: payload 4711")
    with caplog.at_level(logging.ERROR):
        assert (await refused(infer(channel, plain())))[:2] == ("INTERNAL", "internal")
    assert "request-1" in caplog.text
    assert "4711" not in caplog.text, "the message may quote a payload"


async def test_a_flood_of_refusals_is_told_late_where_others_are_served(hub, channel):
    hub.fail, hub.is_shared = Overloaded("full"), True
    begin = time.monotonic()
    await asyncio.gather(*(refused(infer(channel, plain())) for _ in range(FREE + 5)))
    assert time.monotonic() - begin > 0.9


async def test_a_method_that_is_not_offered_is_unimplemented(channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, "TraceSetting")(plain(), metadata=tuple(KEY.items()))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
