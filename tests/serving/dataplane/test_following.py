"""A replica follows control, and lives without it."""

import asyncio

from plaza_core.errors import Unavailable
from plaza_core.table import Heartbeat, HeartbeatReply
from plaza_core.testing import FakeClock, MemoryTableSource
from plaza_serving.dataplane.following import Beats, TableFollower
from tests.serving.dataplane.world import make_key, make_table


class Away:
    async def fetch(self, known, wait_s):
        raise Unavailable("control cannot be reached")


class Log:
    """Records what was admitted and published, and holds publishing until told."""

    def __init__(self):
        self.admitted, self.published = [], []
        self.gate = asyncio.Event()
        self.gate.set()
        self.admitted_again = asyncio.Event()

    def admit(self, table):
        self.admitted.append(table.version)
        if table.version == "3":
            self.admitted_again.set()

    async def publish(self, table):
        await self.gate.wait()
        self.published.append(table.version)


async def at_once(seconds):
    """A wait that takes no time."""


def follower(source, log, keep_at=None):
    return TableFollower(
        source, admit=log.admit, publish=log.publish, keep_at=keep_at, wait_s=30, sleep=at_once
    )


async def test_keys_take_effect_while_models_still_load():
    log, source = Log(), MemoryTableSource(make_table(version="1"))
    follow = follower(source, log)
    await follow.start()
    running = asyncio.create_task(follow.run())
    log.gate.clear()
    source.publish(make_table(version="2"))
    while log.admitted != ["1", "2"]:
        await asyncio.sleep(0)
    source.publish(make_table(version="3"))
    await asyncio.wait_for(log.admitted_again.wait(), 30)
    assert log.published == ["1"]
    log.gate.set()
    while log.published[-1] != "3":
        await asyncio.sleep(0)
    running.cancel()


async def test_a_replica_starts_from_the_kept_table_when_control_is_away(tmp_path):
    entry, _ = make_key()
    kept = tmp_path / "cache" / "table.json"
    log = Log()
    await follower(MemoryTableSource(make_table(keys=[entry], version="7")), log, kept).start()
    assert kept.stat().st_mode & 0o777 == 0o600

    later = Log()
    await follower(Away(), later, kept).start()
    assert later.published == ["7"]


async def test_a_heartbeat_that_is_due_does_not_wait_for_the_second_to_be_over():
    told, heeded, due = asyncio.Queue(), [], asyncio.Event()

    async def control(beat):
        await told.put(beat)
        return HeartbeatReply(live_replicas=1)

    def describe():
        return Heartbeat(replica="r", pool="main", table_version="1", ready={}, failed={})

    clock = FakeClock()
    beats = Beats(control, describe, lambda reply, sent: heeded.append((reply, sent)), due, clock)
    task = asyncio.create_task(beats.forever())
    due.set()
    async with asyncio.timeout(0.5):
        await told.get()
    await asyncio.sleep(0)
    assert heeded == [(HeartbeatReply(live_replicas=1), clock.monotonic_ns())]
    assert not due.is_set()
    task.cancel()


async def test_a_control_that_is_away_is_reported_to_again():
    async def away(beat):
        raise Unavailable("control cannot be reached")

    def heed(reply, sent):
        raise AssertionError("there was no answer")

    def describe():
        return Heartbeat(replica="r", pool="main", table_version="1", ready={}, failed={})

    await Beats(away, describe, heed, asyncio.Event(), FakeClock()).once()
