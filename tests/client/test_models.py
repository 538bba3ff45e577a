"""Both clients' verbs of versions, aliases, rollouts and the catalogue, on the real admin API."""

from __future__ import annotations

import inspect

import pytest

import plaza
from tests.client.real import real_control
from tests.tenancy.world import make_version

ACME = {"organisation": "acme"}


@pytest.fixture
def world(tmp_path):
    with real_control(
        tmp_path / "state",
        ["acme", "city"],
        [make_version(number, name="cars") for number in (1, 2, 3)],
    ) as world:
        yield world


def test_a_versions_life(hub):
    assert hub.models.stage("cars", 2, **ACME).state == "staged"
    assert hub.models.unstage("cars", 2, **ACME).state == "examined"
    assert hub.models.retire("cars", 2, **ACME).state == "retired"
    assert [v.state for v in hub.models.versions("cars", **ACME)] == [
        "examined",
        "retired",
        "serving",
    ]
    assert hub.models.restore("cars", 2, **ACME).state == "examined"
    assert hub.models.withdraw("cars", 2, why="doubts", **ACME).state == "registered"
    with pytest.raises(plaza.PlazaError) as caught:
        hub.models.retire("cars", 1, **ACME)
    assert caught.value.code == "conflict"
    found = hub.models.gc(**ACME)
    assert (found.items, found.removed) == ([], False)
    assert hub.models.gc(older_than_days=40, remove=True, **ACME).removed is True


def test_an_alias_forward_and_back(hub):
    assert hub.models.promote("cars", 3, why="better", **ACME).version == 3
    assert hub.models.rollback("cars", why="worse", **ACME).version == 1
    steps = hub.models.history("cars", **ACME)
    assert [(s.kind, s.version, s.why) for s in steps[:2]] == [
        ("rollback", 1, "worse"),
        ("promote", 3, "better"),
    ]
    hub.models.remove_alias("cars", "champion", **ACME)
    assert hub.models.show("cars", **ACME).aliases == {}
    found = hub.models.diff("cars", 1, 2, **ACME)
    assert (found.compatible, found.changes) == (True, [])


def test_a_rollout(hub):
    made = hub.models.promote("cars", 2, canary_percent=5, policy={"slower": 1.5}, **ACME)
    running = hub.rollouts.show(made.rollout, **ACME)
    assert (running.part, running.policy["slower"], running.state) == (500, 1.5, "running")
    assert hub.rollouts.list("cars", **ACME) == [running]
    assert hub.rollouts.cancel(made.rollout, **ACME).state == "cancelled"
    made = hub.models.promote("cars", 2, shadow_percent=100, **ACME)
    assert hub.rollouts.promote(made.rollout, **ACME).state == "promoted"
    assert hub.models.show("cars", **ACME).aliases == {"champion": 2}


def test_the_catalogue(hub, control_address):
    assert hub.models.tag("cars", add=["edge", "night"], remove=["night"], **ACME) == ["edge"]
    page = hub.models.search("cars", tags=["edge"], publisher="acme", **ACME)
    assert ([found.full_name for found in page.items], page.next) == (["acme.main.cars"], None)
    assert hub.models.share("cars", ["city"], **ACME).visibility == "shared"
    assert [guest.organisation_name for guest in hub.models.guests("cars", **ACME)] == ["city"]
    hub.models.unshare("cars", "city", **ACME)
    assert hub.models.set_visibility("cars", "organisation", **ACME).visibility == "organisation"
    admin = hub.keys.create("acme", role="admin").key
    with plaza.Client(control_url=control_address, api_key=admin) as acme:
        asked = acme.models.publish("cars", note="ours")
        again = acme.models.publish("cars")
    assert (asked.public, asked) == (False, again)
    (request,) = hub.catalogue.requests()
    assert (request.id, request.note) == (asked.request, "ours")
    assert hub.catalogue.reject(request.id, "no card").reason == "no card"
    with plaza.Client(control_url=control_address, api_key=admin) as acme:
        asked = acme.models.publish("cars")
    assert hub.catalogue.approve(asked.request).state == "approved"
    assert hub.models.publish("cars", **ACME).public


def test_both_clients_have_the_same_verbs():
    def verbs(client):
        groups = ("models", "rollouts", "catalogue")
        return {
            (group, name): str(inspect.signature(method)).split(" -> ")[0]
            for group in groups
            for name, method in inspect.getmembers(getattr(client, group), callable)
            if not name.startswith("_")
        }

    assert verbs(plaza.Client()) == verbs(plaza.AsyncClient())
