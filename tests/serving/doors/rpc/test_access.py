"""Who may call over gRPC, and where a loopback key may stand in."""

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from plaza_core.settings import Settings
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.server import listen
from tests.serving.doors.rpc.asking import KEY, X, given, infer, plain, refused


async def test_without_a_key_nothing_is_read(hub, channel):
    for metadata in ((), (("authorization", "Bearer nobody"),)):
        found = await refused(infer(channel, plain(), metadata))
        assert found[:3] == ("UNAUTHENTICATED", "unauthenticated", "authorization")
    assert not hub.calls


async def test_a_key_given_twice_is_refused(channel):
    twice = (*KEY.items(), ("authorization", "Bearer admin"))
    assert (await refused(infer(channel, plain(), twice)))[1] == "malformed_request"


async def test_a_key_without_the_right_is_refused(channel):
    found = await refused(infer(channel, plain(), (("authorization", "Bearer auditor"),)))
    assert found[:2] == ("PERMISSION_DENIED", "forbidden")


async def test_an_idempotency_key_is_refused_and_not_ignored(channel):
    metadata = (*KEY.items(), ("idempotency-key", "once"))
    found = await refused(infer(channel, plain(), metadata))
    assert found[:3] == ("INVALID_ARGUMENT", "bad_request", "idempotency-key")


async def test_a_loopback_key_serves_callers_that_bring_none(hub, repository):
    settings = Settings(loopback_key="consumer")
    listener = await listen(GrpcDoor(hub, settings, repository=repository), settings, 0)
    try:
        async with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            answer = await client.infer("echo", given(X))
            assert np.array_equal(answer.as_numpy("y"), X)
            with pytest.raises(InferenceServerException) as caught:
                await client.infer("echo", given(X), headers={"authorization": "Bearer wrong"})
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED", "one brought is used"
    finally:
        await listener.close()


@pytest.mark.parametrize("place", ["listen", "node_ip"])
def test_a_loopback_key_is_refused_unless_all_is_on_loopback(place):
    assert Settings(loopback_key="k", listen="::1").loopback_key == "k"
    with pytest.raises(ValueError, match="loopback"):
        Settings(loopback_key="k", **{place: "10.0.0.1"})


def test_a_port_that_something_else_has_is_refused():
    with pytest.raises(ValueError, match="is taken"):
        Settings(grpc_port=8000)
    pools = [{"name": "second", "grpc_port": 8001}]
    with pytest.raises(ValueError, match="second"):
        Settings(pools=pools)
    assert Settings(grpc_port=0, pools=pools).all_pools[0].grpc_port is None
