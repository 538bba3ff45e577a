"""`plaza leases …` and the SDK against the real admin API on a real database."""

import io
import json

import pytest

import plaza
from plaza_core.budget import LeaseAsk
from plaza_core.principal import Right, Role
from plaza_tenancy.nodes import Kind, Node
from tests.client.hub import serving
from tests.serving.control.conftest import open_world


@pytest.fixture
def world(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir()
    opened = open_world(directory)
    tenancy = opened.parts.tenancy
    operator = tenancy.authenticate(opened.operator)
    tenancy.organisations.create(tenancy.platform(operator, Right.TENANTS_WRITE), "acme")
    scope = tenancy.scope(operator, Right.KEYS_WRITE, organisation="acme")
    key = tenancy.keys.create(scope, role=Role.CONSUMER, label="gateway")
    tenancy.budgets.set(scope, Node(Kind.KEY, key.id), limit=100)
    tenancy.leases.exchange("r1", [LeaseAsk(key=key.id, need=40)])
    yield opened
    opened.parts.close_waits()
    opened.parts.tenancy.close()


@pytest.fixture
def address(world):
    with serving(world.app) as address:
        yield address


@pytest.fixture
def operator(run, address, elsewhere, world):
    """`plaza …` as the operator; with `as_json` what it printed."""

    def operator(*arguments, code=0, as_json=True):
        form = ["--json"] if as_json else []
        done = run("--control", address, "--key", world.operator, *form, *arguments)
        assert done.code == code, done.err
        if not as_json:
            return done.out
        return json.loads(done.err if code else done.out)

    return operator


def test_a_lost_replica_is_listed_written_off_and_gone(operator):
    (lease,) = operator("leases", "list")
    assert (lease["replica"], lease["live"], lease["outstanding"]) == ("r1", False, 40)
    shown = operator("leases", "list", as_json=False)
    assert "silent" in shown
    assert "acme" in shown
    done = operator("leases", "write-off", "r1", "--yes")
    assert done == {"replica": "r1", "leases": 1, "charged": 40}
    assert operator("leases", "write-off", "r1", "--yes")["charged"] == 0
    assert operator("leases", "list", "--replica", "r1") == []
    refused = operator("leases", "write-off", "r9", "--yes", code=1)["error"]
    assert refused["code"] == "not_found"


def test_a_write_off_asks_first(run, address, elsewhere, world, operator, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = run("--control", address, "--key", world.operator, "leases", "write-off", "r1")
    assert done.code == 1
    assert "Charge 40 units of 1 leases" in done.out
    assert len(operator("leases", "list")) == 1


def test_drift_of_budgets_is_told_by_the_exit_code(operator):
    assert operator("leases", "drift") == []
    assert operator("leases", "drift", "--now") == []


async def test_the_sdk_knows_them_too(address, world):
    async with plaza.AsyncClient("http://127.0.0.1:9", address, world.operator) as hub:
        (lease,) = await hub.leases.list()
        assert isinstance(lease, plaza.Lease)
        assert (await hub.leases.write_off(lease.replica)).charged == 40
        assert await hub.leases.drift(now=True) == []
