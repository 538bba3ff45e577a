"""`plaza alerts …` and the SDK against the real admin API on a real database."""

import json

import pytest

import plaza
from tests.client.real import real_control


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "state") as world:
        yield world


@pytest.fixture
def operator(run, control_address, elsewhere, world):
    """`plaza …` as the operator; with `as_json` what it printed."""

    def operator(*arguments, code=0, as_json=True):
        form = ["--json"] if as_json else []
        done = run("--control", control_address, "--key", world.operator, *form, *arguments)
        assert done.code == code, done.err
        if not as_json:
            return done.out
        return json.loads(done.err if code else done.out)

    return operator


URL = "https://hooks.example.org/in"


def test_from_no_target_to_one_that_is_tested_and_removed(operator, world):
    refused = operator("alerts", "add", URL, code=1)["error"]
    assert (refused["code"], refused["input"]) == ("target_refused", "url")
    assert operator("alerts", "hosts", "list") == []
    allowed = operator("alerts", "hosts", "allow", "*.example.org")
    assert allowed == [{"pattern": "*.example.org", "private": False}]

    made = operator("alerts", "add", URL, "--event", "budget.80", "--label", "ops")
    assert made["secret"].startswith("whsec_")
    target = made["target"]["id"]
    (listed,) = operator("alerts", "list")
    assert (listed["id"], listed["events"], listed["active"]) == (target, ["budget.80"], True)
    assert "whsec_" not in json.dumps(listed)

    fresh = operator("alerts", "rotate", target)
    assert fresh["secret"] != made["secret"]
    (sent,) = operator("alerts", "test", target)
    assert (sent["event"], sent["state"]) == ("webhook.test", "pending")
    assert operator("alerts", "deliveries", target)[0]["id"] == sent["id"]
    assert operator("alerts", "enable", target)[0]["active"] is True

    assert operator("alerts", "remove", target) == {"id": target, "removed": True}
    assert operator("alerts", "list") == []
    assert operator("alerts", "rotate", target, code=1)["error"]["code"] == "not_found"
    assert operator("alerts", "hosts", "disallow", "*.example.org") == []


def test_for_people(operator):
    operator("alerts", "hosts", "allow", "hooks.example.org")
    operator("alerts", "hosts", "allow", "127.0.0.1:9", "--private")
    shown = operator("alerts", "hosts", "list", as_json=False)
    assert "also inside" in shown
    assert "outside only" in shown
    shown = operator("alerts", "add", f"{URL}?token=hidden", as_json=False)
    assert "shown once" in shown
    assert "whsec_" in shown
    shown = operator("alerts", "list", as_json=False)
    assert "budget.50 budget.80 budget.100" in shown
    assert "active" in shown
    assert "hidden" not in shown


def test_a_wrong_event_is_a_wrong_command_line(operator, run, control_address, world):
    done = run("--control", control_address, "--key", world.operator, "alerts", "add", URL,
               "--event", "budget.7")  # fmt: skip
    assert done.code == 2


async def test_the_sdk_speaks_the_same(world, control_address):
    async with plaza.AsyncClient(control_url=control_address, api_key=world.operator) as hub:
        await hub.alerts.allow_host("hooks.example.org")
        assert await hub.alerts.hosts() == [plaza.AlertHost("hooks.example.org", private=False)]
        made = await hub.alerts.add("plaza", URL, events=["budget.100"])
        assert made.secret not in repr(made)
        assert await hub.alerts.list("plaza") == [made.target]
        sent = await hub.alerts.test("plaza", made.target.id)
        assert await hub.alerts.deliveries("plaza", made.target.id) == [sent]
        with pytest.raises(plaza.PlazaError) as caught:
            await hub.alerts.add("plaza", "https://elsewhere.example.org/")
        assert caught.value.code == "target_refused"
        await hub.alerts.remove("plaza", made.target.id)
        assert await hub.alerts.list("plaza") == []
