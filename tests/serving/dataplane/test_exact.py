"""A budget for exactly 137 requests admits exactly 137 of 1,000, on any number of replicas."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from plaza_core.budget import Price
from plaza_core.clock import SystemClock
from plaza_core.errors import QuotaExceeded
from plaza_core.inference import Call
from tests.serving.dataplane.books import books_for, broker_of, desk_over
from tests.serving.dataplane.world import PlaneKit, make_key, make_model, make_table

REQUESTS, AFFORDABLE, PRICE = 1000, 137, 1000


async def rush(planes, *, seed):
    """Answers and refusals of 1,000 requests at once, the first ever of their key."""
    clock, model = SystemClock(), make_model()
    entry, header = make_key(metered=True)
    bank = books_for(clock, [entry], {entry.organisation: AFFORDABLE * PRICE, entry.id: 10**9})
    desk = desk_over(bank, clock, live=planes)
    kits = [
        PlaneKit(slots=2 * REQUESTS, threads=2, sink=bank, name=f"replica-{n}")
        for n in range(planes)
    ]
    brokers = [broker_of(k, desk, f"replica-{n}") for n, k in enumerate(kits)]
    tasks = [asyncio.create_task(broker.run()) for broker in brokers]
    price = Price(model=model.id, fixed=PRICE)
    for k in kits:
        await k.serve(make_table([model], [entry], prices=[price]))

    async def one(number):
        k = kits[hash((seed, number)) % planes]
        tensors = {"x": np.zeros((1, 2), np.float32)}
        call = Call(k.plane.new_request_id(), "echo", None, tensors=tensors)
        try:
            outcome = await k.plane.infer(k.plane.authenticate(header), call)
        except QuotaExceeded as error:
            return type(error).__name__
        assert outcome.charge == PRICE
        return "ok"

    seen = Counter(await asyncio.gather(*(one(n) for n in range(REQUESTS))))
    bank.check()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for k, broker in zip(kits, brokers, strict=True):
        await k.plane.close()
        assert await broker.close()
    bank.check()
    assert bank.outstanding() == 0
    assert sum(r.charge for r in bank.records.values()) == seen["ok"] * PRICE
    assert sum(r.overrun for r in bank.records.values()) == 0
    return seen, sum(broker.channel.exchanges for broker in brokers)


@pytest.mark.parametrize("planes", [1, 2, 4])
async def test_a_budget_for_137_admits_exactly_137_of_1000(planes):
    for seed in range(20):
        seen, _ = await rush(planes, seed=seed)
        assert seen == {"ok": AFFORDABLE, "QuotaExceeded": REQUESTS - AFFORDABLE}
