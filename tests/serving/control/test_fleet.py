"""Who lives, who has published, and whom a promotion waits for."""

import asyncio

import pytest

from plaza_core.table import Heartbeat, HubTable
from plaza_core.testing import FakeClock
from plaza_serving.control.apportion import SILENT_S
from plaza_serving.control.feed import TableFeed
from plaza_serving.control.fleet import FORGET_S, Fleet
from plaza_serving.control.granted import GrantMark
from tests.serving.dataplane.world import make_key


class World:
    """A feed at table `t2` (after `t1`), and replicas that beat as told."""

    def __init__(self):
        self.clock = FakeClock()
        self.version = "t1"
        feed = TableFeed(
            lambda: HubTable(version=self.version, models=[], keys=[]), lambda: self.version
        )
        feed.refresh()
        self.version = "t2"
        self.sequence = feed.refresh().sequence
        self.fleet = Fleet(feed, self.clock)

    def beat(self, replica, table="t2", versions=(2,), failed=None, pool="main"):
        return self.fleet.hear(
            Heartbeat(
                replica=replica,
                pool=pool,
                table_version=table,
                ready={"m": list(versions)},
                failed=failed or {},
            )
        )

    def publication(self):
        return self.fleet.publication("m", 2, self.sequence)


@pytest.fixture
def world():
    return World()


def test_the_live_replicas_of_the_same_pool_are_counted(world):
    assert world.beat("r1") == 1
    assert world.beat("r2") == 2
    assert world.beat("gpu", pool="gpu") == 1


def test_five_seconds_of_silence_fence_a_replica(world):
    world.beat("r1")
    world.clock.advance(4.999)
    assert world.beat("r2") == 2
    world.clock.advance(0.001)
    assert world.beat("r2") == 1


def test_replicas_are_told_which_pools_have_live_ones(world):
    world.beat("g", pool="gpu")
    world.clock.advance(5)
    world.beat("r1")
    heartbeat = Heartbeat(replica="r2", pool="main", table_version="t2", ready={}, failed={})
    assert world.fleet.answer(heartbeat).pools == {"main": 2}
    world.beat("g", pool="gpu")
    assert world.fleet.answer(heartbeat).pools == {"main": 2, "gpu": 1}


def test_a_replica_gone_for_long_is_forgotten(world):
    world.beat("r1")
    world.clock.advance(FORGET_S + 1)
    world.beat("r2")
    assert [r.heartbeat.replica for r in world.fleet.replicas()] == ["r2"]


def test_published_means_that_the_new_table_is_published(world):
    world.beat("there")
    world.beat("old table", table="t1")
    world.beat("opens it on first use", versions=(1,))

    where = world.publication()

    assert where.published_on == ("opens it on first use", "there")
    assert where.waiting_for == ("old table",)
    assert not where.settled


def test_a_replica_that_cannot_load_the_version_is_not_waited_for(world):
    world.beat("r1")
    world.beat("r2", versions=(1,), failed={"m/2": "provider_unavailable"})

    where = world.publication()

    assert where.settled
    assert where.failed_on == {"r2": "provider_unavailable"}


def test_without_replicas_nobody_is_waited_for(world):
    assert world.publication().settled


async def test_the_wait_ends_with_the_last_heartbeat_needed(world):
    world.beat("r1")
    world.beat("r2", table="t1")
    wait = asyncio.create_task(world.fleet.wait_published("m", 2, world.sequence, 60))
    while not world.fleet.heard.waiting:
        await asyncio.sleep(0)

    world.beat("r2")

    assert (await wait).published_on == ("r1", "r2")


async def test_after_the_time_the_missing_are_named(world):
    world.beat("r1", table="t1")
    assert (await world.fleet.wait_published("m", 2, world.sequence, 0)).waiting_for == ("r1",)


async def test_a_replica_that_falls_silent_ends_the_wait(world):
    world.beat("r1", table="t1")
    wait = asyncio.create_task(world.fleet.wait_published("m", 2, world.sequence, 60))
    while not world.fleet.heard.waiting:
        await asyncio.sleep(0)

    world.clock.advance(5)

    assert (await wait).settled


# ── what replicas are told ───────────────────────────────────────────────────────────────────────
def limited(tmp_path, clock, slots=4):
    """A fleet over a table with one key: so many requests at once, and a rate."""
    entry, _ = make_key(slots=[("org_acme", slots)])
    table = HubTable(version="1", models=[], keys=[entry])
    feed = TableFeed(lambda: table, lambda: table.version)
    feed.refresh()
    return Fleet(feed, clock, GrantMark(tmp_path / "slots.granted", clock))


def report(replica, **more):
    return Heartbeat(replica=replica, pool="main", table_version="1", ready={}, failed={}, **more)


def test_a_heartbeat_is_answered_with_slots_and_parts_of_rates(tmp_path):
    fleet = limited(tmp_path, FakeClock())
    reply = fleet.answer(report("r1", arrivals={"org_acme": 10, "no limit": 5}))
    assert reply.slots == {"org_acme": 4}
    assert reply.rate_shares == {"org_acme": pytest.approx(1)}
    assert reply.live_replicas == 1


def test_a_control_that_is_restarted_gives_away_nothing_that_may_be_held(tmp_path):
    clock = FakeClock()
    assert limited(tmp_path, clock).answer(report("r1")).slots == {"org_acme": 4}
    clock.advance(1)
    restarted = limited(tmp_path, clock)
    assert restarted.answer(report("r2")).slots == {"org_acme": 0}
    clock.advance(SILENT_S)
    assert limited(tmp_path, clock).answer(report("r2")).slots == {"org_acme": 4}


def test_a_replica_that_is_gone_for_certain_frees_what_it_held(tmp_path):
    fleet = limited(tmp_path, FakeClock())
    fleet.answer(report("r1"))
    assert fleet.answer(report("r2")).slots == {"org_acme": 0}
    fleet.gone("r1")
    assert fleet.answer(report("r2")).slots == {"org_acme": 4}
    assert [r.heartbeat.replica for r in fleet.replicas()] == ["r2"]
