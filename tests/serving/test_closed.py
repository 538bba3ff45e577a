"""A replica that cannot run its pool: it tells control, answers 503, and ends when it could."""

from __future__ import annotations

import json

import httpx
import pytest

from plaza_core.errors import Unavailable
from plaza_core.ids import ReplicaId
from plaza_core.settings import Settings
from plaza_core.table import HeartbeatReply
from plaza_core.testing import FakeClock
from plaza_serving.assembly import open_replica
from plaza_serving.closed import ClosedReplica


class Control:
    def __init__(self):
        self.heard, self.away, self.ended = [], False, 0

    async def beat(self, heartbeat):
        if self.away:
            raise Unavailable("control cannot be reached")
        self.heard.append(heartbeat)
        return HeartbeatReply(live_replicas=0)

    async def end(self):
        self.ended += 1


@pytest.fixture
def parts():
    control, clock, says = Control(), FakeClock(), ["no NPU is here"]
    closed = ClosedReplica(
        ReplicaId("npu-1"),
        "npu",
        "no NPU is here",
        look=lambda: says[0],
        beat=control.beat,
        end=control.end,
        clock=clock,
    )
    return closed, control, clock, says


async def test_control_hears_why(parts):
    closed, control, _, _ = parts
    await closed.once()
    (said,) = control.heard
    assert (said.pool, said.refusal, said.ready) == ("npu", "no NPU is here", {})
    control.away = True
    await closed.once()  # no error: it is told again in a second


async def test_it_looks_again_now_and_then_and_gives_way_once_the_pool_could_run(parts):
    closed, control, clock, says = parts
    says[0] = "its toolkit is missing"
    await closed.once()
    assert control.heard[-1].refusal == "no NPU is here"
    clock.advance(31)
    await closed.once()
    assert control.heard[-1].refusal == "its toolkit is missing"
    assert closed.live()
    says[0] = None
    clock.advance(31)
    await closed.once()
    assert not closed.live()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_calls_it_is_told_whom_to_ask(parts, method):
    closed, *_ = parts
    transport = httpx.ASGITransport(closed)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        answer = await client.request(method, "/pools/npu/v2/models/cars/infer")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert "plaza status" in answer.json()["error"]
    assert answer.headers["x-plaza-charge"] == "0"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_closing_it_lets_go_of_control(parts):
    closed, control, _, _ = parts
    closed.start()
    await closed.close()
    assert control.ended == 1


async def test_a_pool_of_an_absent_device_opens_as_one_of_these(tmp_path):
    (tmp_path / "state").mkdir()
    pools = json.dumps([{"name": "npu", "provider": "cann"}])
    settings = Settings(state_dir=tmp_path / "state", pools=json.loads(pools), control_port=1)
    replica = await open_replica(settings, pool="npu")
    assert isinstance(replica, ClosedReplica)
    assert replica.live()
    await replica.close()
