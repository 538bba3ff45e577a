"""Both clients' verbs of budgets, prices and shares, against the real admin API."""

from __future__ import annotations

import pytest

import plaza
from tests.client.real import real_control
from tests.tenancy.world import make_version


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "state", ["acme"], [make_version(name="cars")]) as world:
        yield world


def test_budgets_of_all_three_nodes(hub):
    key = hub.keys.create("acme", role="consumer", label="gate 7").id
    assert hub.quotas.set("acme", 1000, period="day").limit == 1000
    assert hub.quotas.set("acme", None, project="main").limit is None
    assert hub.quotas.set("acme", 300, key=key).period == "month"
    found = hub.quotas.list("acme")
    assert [budget.kind for budget in found] == ["organisation", "project", "key"]
    assert [budget.remaining for budget in found] == [1000, None, 300]
    assert found[2] == hub.quotas.show("acme", key=key)
    assert (found[1].project_name, found[2].label) == ("main", "gate 7")
    assert hub.quotas.raise_limit("acme", 50, key=key).limit == 350
    assert hub.quotas.lower_limit("acme", 150, key=key).limit == 200
    hub.quotas.remove("acme", key=key)
    with pytest.raises(plaza.PlazaError) as caught:
        hub.quotas.show("acme", key=key)
    assert (caught.value.code, caught.value.input) == ("not_found", "key")
    with pytest.raises(ValueError, match="not both"):
        hub.quotas.show("acme", key=key, project="main")


def test_concurrency_and_priority(hub, world):
    key = hub.keys.create("acme", role="consumer").id
    assert hub.quotas.limit_concurrency("acme", 9) == 9
    assert hub.quotas.limit_concurrency("acme", 3, key=key) == 3
    assert hub.quotas.limit_concurrency("acme", None, project="main") is None
    assert hub.quotas.set_priority("acme", key, -2) == -2
    (entry,) = [entry for entry in world.parts.tenancy.table().keys if entry.id == key]
    assert (entry.slots[0], entry.priority) == ((key, 3), -2)


def test_prices_and_estimates(hub):
    assert hub.prices.list() == []
    hub.prices.set(provider="cuda", weight=20)
    hub.prices.set(model="acme.main.cars", fixed=100)
    cars, cuda = hub.prices.list()
    assert (cars.model_name, cars.fixed, cuda.provider) == ("acme.main.cars", 100, "cuda")
    hub.quotas.set("acme", 1050)
    found = hub.quotas.estimate("acme", "cars", device_us=1, rows=2)
    assert (found.cost, found.requests, found.remaining) == (200, 5, 1050)
    hub.prices.remove(model="acme.main.cars")
    hub.quotas.set("acme", None)
    found = hub.quotas.estimate("acme", "cars", device_us=5, provider="cuda")
    assert (found.cost, found.requests, found.remaining) == (100, None, None)


def test_shares(hub):
    assert hub.shares.set("acme", 4, borrow_percent=50).weight == 4
    assert hub.shares.set("acme", 2) == plaza.Share("acme", 2, None)
    assert [share.organisation_name for share in hub.shares.list()] == ["acme", "plaza"]
