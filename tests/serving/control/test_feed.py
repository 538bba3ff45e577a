"""The table as replicas pull it: one read per change, one order, no lost change."""

import asyncio

import pytest

from plaza_core.errors import Unavailable
from plaza_core.table import HubTable
from plaza_serving.control.feed import TableFeed


class Database:
    """A table whose version the test sets; counts how often it was read whole."""

    def __init__(self):
        self.version = "a"
        self.reads = 0

    def read(self):
        self.reads += 1
        return HubTable(version=self.version, models=[], keys=[])

    def feed(self):
        return TableFeed(self.read, lambda: self.version)


@pytest.fixture
def database():
    return Database()


async def test_nothing_is_told_before_the_first_read(database):
    feed = database.feed()
    assert not feed.loaded
    with pytest.raises(Unavailable):
        await feed.fetch(None, 0)


async def test_who_knows_nothing_gets_the_table_at_once(database):
    feed = database.feed()
    feed.refresh()

    snapshot = await feed.fetch(None, 60)

    assert HubTable.model_validate_json(snapshot.body).version == snapshot.version == "a"


async def test_unchanged_is_none_and_costs_no_read(database):
    feed = database.feed()
    feed.refresh()

    for _ in range(100):
        assert await feed.fetch("a", 0) is None
        feed.refresh()

    assert database.reads == 1


async def test_a_change_reaches_all_who_wait(database):
    feed = database.feed()
    feed.refresh()
    polls = [asyncio.create_task(feed.fetch("a", 60)) for _ in range(20)]
    while feed.changed.waiting < 20:
        await asyncio.sleep(0)

    database.version = "b"
    await asyncio.to_thread(feed.refresh)

    assert {s.version for s in await asyncio.gather(*polls)} == {"b"}
    assert database.reads == 2


async def test_closing_sends_waiters_home(database):
    feed = database.feed()
    feed.refresh()
    poll = asyncio.create_task(feed.fetch("a", 60))
    while not feed.changed.waiting:
        await asyncio.sleep(0)

    feed.close()

    assert await poll is None


def test_versions_have_an_order(database):
    feed = database.feed()
    first = feed.refresh().sequence
    database.version = "b"
    second = feed.refresh().sequence

    assert feed.reached("b", second)
    assert feed.reached("b", first)
    assert not feed.reached("a", second)
    assert not feed.reached("of another control", first)


def test_a_table_that_returns_to_earlier_content_counts_as_new(database):
    feed = database.feed()
    feed.refresh()
    for version in ("b", "a"):
        database.version = version
        last = feed.refresh()

    assert feed.reached("a", last.sequence)
    assert not feed.reached("b", last.sequence)


def test_a_database_that_is_away_leaves_the_last_table(database):
    feed = database.feed()
    feed.refresh()

    def away():
        raise Unavailable("the database does not answer")

    broken = TableFeed(database.read, away)
    broken.refresh()
    with pytest.raises(Unavailable):
        broken.refresh()
    assert broken.current.version == "a"


async def test_a_job_that_naps_is_woken_by_every_change_also_by_one_during_its_round(database):
    feed = database.feed()
    feed.refresh()
    nap = feed.nap()
    asleep = asyncio.create_task(nap(60))
    await asyncio.sleep(0)
    database.version = "b"
    feed.refresh()
    async with asyncio.timeout(30):
        await asleep

    database.version = "c"
    feed.refresh()  # while the job is at work
    async with asyncio.timeout(30):
        await nap(60)
        await nap(0.01)  # nothing has changed: slept to the end
