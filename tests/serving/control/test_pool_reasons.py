"""Why a pool does not serve: in its replica's words, else in what it asks and what is here."""

from __future__ import annotations

import sys

import pytest

from plaza_accel.examination.certifier import Place
from plaza_accel.examination.interpreter import refusal_here, refusal_of
from plaza_core.pools import Pool
from plaza_core.table import Heartbeat
from plaza_core.testing import FakeClock
from plaza_serving.control.pool_reasons import PoolReasons
from tests.serving.control.conftest import NODE_TOKEN

NPU = Pool(name="npu", provider="cann")
OV = Pool(name="ov", provider="openvino")


class Looks:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def __call__(self, place):
        self.asked.append(place)
        return self.answer


@pytest.fixture
def looks():
    return Looks("no such device here")


def test_the_replicas_own_words_count_first(looks):
    reasons = PoolReasons(FakeClock(), looks)
    assert reasons.why(OV, 1, {"ov": "it says so"}) == "it says so"
    assert reasons.why(OV, 1, {"npu": "another"}) is None
    assert not looks.asked


def test_what_none_could_place_is_told_with_what_it_asks_and_what_is_here(looks):
    said = PoolReasons(FakeClock(), looks).why(NPU, 0, {})
    assert said.startswith("no replica is placed yet: each takes NPU 1 of a node")
    assert said.endswith("on control's node: no such device here")
    assert PoolReasons(FakeClock(), looks).why(OV, 0, {}) == "no such device here"


def test_a_pool_that_could_run_here_and_starts_gets_no_reason():
    reasons = PoolReasons(FakeClock(), Looks(None))
    assert reasons.why(OV, 0, {}) is None
    assert reasons.why(Pool(name="main"), 0, {}) is None


def test_an_interpreter_is_not_started_for_every_question(looks):
    clock = FakeClock()
    reasons = PoolReasons(clock, looks)
    for _ in range(3):
        reasons.why(OV, 0, {})
    assert len(looks.asked) == 1
    clock.advance(61)
    reasons.why(OV, 0, {})
    assert len(looks.asked) == 2


@pytest.mark.parametrize(
    ("provider", "options", "words"),
    [
        ("cpu", {}, None),
        ("cann", {}, "no Ascend NPU is on this node"),
        ("nonesuch", {}, "nonesuch"),
        ("cpu", {"intra_op": 0}, "option 'intra_op'"),
    ],
)
def test_a_pools_interpreter_says_why_as_this_one_does(provider, options, words):
    place = Place(provider, options, sys.executable)
    said = refusal_of(place)
    assert said == refusal_here(place)
    assert (said is None) if words is None else (words in said)


def test_an_environment_that_is_not_there_or_is_none_of_ours_is_said(tmp_path):
    assert "No such file" in refusal_of(Place("cpu", {}, str(tmp_path / "python")))
    empty = tmp_path / "empty"
    empty.write_text("#!/bin/sh\nexit 0\n")
    empty.chmod(0o755)
    assert "has no Plaza that starts" in refusal_of(Place("cpu", {}, str(empty)))


def beat(replica="bare-1", **more):
    said = {"replica": replica, "pool": "ov", "table_version": "", "ready": {}, "failed": {}}
    return Heartbeat(**said, **more)


async def test_control_logs_it_once_and_nobody_waits_for_such_a_replica(world, caplog):
    refused = beat(refusal="it has no runtime").model_dump(mode="json")
    for _ in range(2):
        answer = await world.ask(NODE_TOKEN, "POST", "/internal/v1/heartbeats", json=refused)
        assert answer.json()["live_replicas"] == 0
    assert world.parts.fleet.refusals() == {"ov": "it has no runtime"}
    assert world.parts.fleet.replicas() == []
    assert sum("pool 'ov' cannot run" in line for line in caplog.messages) == 1
    world.clock.advance(6)
    assert world.parts.fleet.refusals() == {}
