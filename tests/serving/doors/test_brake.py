"""Where others are served, who asks again at once when refused is answered late, so that refusals
take no time from them. Who is alone is answered at once."""

import asyncio
from dataclasses import dataclass, field

import pytest

from plaza_core.errors import InvalidInput, ModelNotFound, Overloaded, QuotaExceeded, RateLimited
from plaza_core.ids import KeyId, OrganisationId
from plaza_core.principal import Principal, Role
from plaza_core.testing import FakeClock
from plaza_serving.doors import brake
from plaza_serving.doors.brake import FREE, Brake
from plaza_serving.doors.http import HttpDoor

GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}


@dataclass
class Served:
    """As much of a plane as a brake asks."""

    clock: FakeClock = field(default_factory=FakeClock)
    others: bool = True

    def shared(self, principal):
        return self.others


def caller(organisation):
    return Principal(
        key=KeyId("k"),
        organisation=OrganisationId(organisation),
        organisation_name=organisation,
        project=None,
        project_name=None,
        role=Role.CONSUMER,
    )


def refusals(one, count, organisation="acme", error=RateLimited):
    return [one.holds(error("later"), caller(organisation)) for _ in range(count)]


@pytest.mark.parametrize("error", [RateLimited, Overloaded, QuotaExceeded])
def test_the_first_refusals_of_a_second_leave_at_once_and_the_rest_late(error):
    assert refusals(Brake(Served()), FREE + 3, error=error) == [False] * FREE + [True] * 3


def test_a_flood_of_one_organisation_delays_no_other():
    one = Brake(Served())
    refusals(one, 10 * FREE)
    assert not any(refusals(one, FREE, organisation="polite"))


def test_the_next_second_begins_anew():
    plane = Served()
    one = Brake(plane)
    refusals(one, 10 * FREE)
    plane.clock.advance(1.0)
    assert not any(refusals(one, FREE))


def test_who_is_alone_is_refused_at_once_however_often_until_others_come():
    plane = Served(others=False)
    one = Brake(plane)
    assert not any(refusals(one, 100 * FREE))
    plane.others = True
    assert refusals(one, 1) == [True]


@pytest.mark.parametrize("error", [InvalidInput, ModelNotFound])
def test_an_answer_that_is_no_refusal_is_never_late(error):
    assert not any(refusals(Brake(Served()), 10 * FREE, error=error))


async def test_no_more_than_so_many_answers_wait_at_once(monkeypatch):
    monkeypatch.setattr(brake, "_MOST", 2)
    one = Brake(Served())
    refusals(one, FREE)
    waiting = [asyncio.create_task(one.pause()) for _ in range(2)]
    await asyncio.sleep(0)
    assert refusals(one, 1) == [False]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert refusals(one, 1) == [True]


async def test_at_the_door_only_the_refusals_of_a_flood_are_late(
    hub, settings, new_client, monkeypatch
):
    pauses = []

    async def pause(self):
        pauses.append(1)

    monkeypatch.setattr(Brake, "pause", pause)
    hub.clock, hub.fail, hub.is_shared = FakeClock(), RateLimited("later", retry_after=1), True
    client = new_client(HttpDoor(hub, settings))
    for _ in range(FREE):
        assert (await client.infer(GOOD)).problem()[:2] == (429, "rate_limited")
    assert not pauses
    assert (await client.infer(GOOD)).headers["retry-after"] == "1"
    assert pauses == [1]
    hub.fail = None
    assert (await client.infer(GOOD)).status == 200
    assert pauses == [1]
