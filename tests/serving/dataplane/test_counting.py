"""Statistics say what was done, to those for whom it was done."""

import asyncio

import pytest

from plaza_core.errors import DeadlineExceeded, ModelNotFound
from plaza_core.table import Visibility
from plaza_serving.dataplane import counting
from tests.serving.dataplane.test_plane import GatedFactory, call
from tests.serving.dataplane.world import make_key, make_model, make_table


async def served(kit, *organisations, **options):
    k = kit(**options)
    entries, principals = [], []
    for name in organisations:
        entry, header = make_key(name)
        entries.append(entry)
        principals.append(header)
    await k.serve(make_table([make_model(visibility=Visibility.PUBLIC)], entries))
    return k, [k.plane.authenticate(header) for header in principals]


async def test_rows_runs_and_phases_are_counted(kit):
    k, (me,) = await served(kit, "acme", factory=GatedFactory())
    first = asyncio.create_task(k.plane.infer(me, call(k.plane, rows=2)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    rest = [asyncio.create_task(k.plane.infer(me, call(k.plane))) for _ in range(3)]
    await asyncio.sleep(0)
    k.factory.gate.set()
    await asyncio.gather(first, *rest)
    (one,) = k.plane.counting.of(me, "echo", "1")
    found = one.statistics
    assert (one.name, one.version) == ("echo", 1)
    assert (found.inferences, found.executions, found.success.count) == (5, 2, 4)
    assert {rows: phases.infer.count for rows, phases in found.batches.items()} == {2: 1, 3: 1}
    assert found.success.ns >= found.phases.infer.ns / 4 > 0
    assert found.queue.count == found.phases.output.count == 4
    assert found.last_unix_ms > 0


async def test_a_request_that_never_ran_has_failed(kit):
    k, (me,) = await served(kit, "acme", factory=GatedFactory())
    first = asyncio.create_task(k.plane.infer(me, call(k.plane)))
    await asyncio.to_thread(k.factory.entered.wait, 5)
    soon = k.clock.monotonic_ns() + 20_000_000
    with pytest.raises(DeadlineExceeded):
        await k.plane.infer(me, call(k.plane, deadline_ns=soon))
    k.factory.gate.set()
    await first
    (one,) = k.plane.counting.of(me, "echo", None)
    assert (one.statistics.success.count, one.statistics.fail.count) == (1, 1)


async def test_nobody_sees_what_others_do_with_a_public_model(kit):
    k, (me, other) = await served(kit, "acme", "globex")
    await k.plane.infer(me, call(k.plane))
    (mine,) = k.plane.counting.of(me, "", None)
    (theirs,) = k.plane.counting.of(other, "", None)
    assert (mine.statistics.inferences, theirs.statistics.inferences) == (1, 0)
    with pytest.raises(ModelNotFound):
        k.plane.counting.of(me, "nothing", None)


async def test_memory_is_bounded(kit, monkeypatch):
    monkeypatch.setattr(counting, "MOST", 2)
    k, principals = await served(kit, *(f"org{n}" for n in range(4)))
    for one in principals:
        await k.plane.infer(one, call(k.plane))
    kept = [k.plane.counting.of(one, "echo", "1")[0].statistics.inferences for one in principals]
    assert kept[-1] == 1
    assert sum(kept) == 2


async def test_a_copy_is_handed_out(kit):
    k, (me,) = await served(kit, "acme")
    await k.plane.infer(me, call(k.plane))
    k.plane.counting.of(me, "echo", "1")[0].statistics.batches.clear()
    assert k.plane.counting.of(me, "echo", "1")[0].statistics.batches
