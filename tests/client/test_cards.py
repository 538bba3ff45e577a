"""Both clients' verbs of cards, against the real admin API."""

from __future__ import annotations

import asyncio

import pytest

import plaza
from plaza_core.principal import Right
from tests.client.hub import serving
from tests.client.test_client import Blocking
from tests.serving.control.conftest import open_world
from tests.tenancy.world import make_version


@pytest.fixture(params=["sync", "async"])
def hub(request, tmp_path):
    world = open_world(tmp_path)
    tenancy = world.parts.tenancy
    operator = tenancy.authenticate(world.operator)
    tenancy.organisations.create(tenancy.platform(operator, Right.TENANTS_WRITE), "acme")
    scope = tenancy.scope(operator, Right.MODELS_WRITE, organisation="acme")
    tenancy.records.add_version(scope, make_version(name="cars", card="# Old\n"))
    with serving(world.app) as address, asyncio.Runner() as runner:
        if request.param == "sync":
            with plaza.Client(control_url=address, api_key=world.operator) as client:
                yield client
        else:
            client = plaza.AsyncClient(control_url=address, api_key=world.operator)
            yield Blocking(client, runner)
            runner.run(client.close())
    world.parts.close_waits()
    tenancy.close()


def test_a_card_is_set_by_text_or_by_file_and_its_past_is_kept(hub, tmp_path):
    second = hub.models.set_card("cars", 1, "# New\n", organisation="acme")
    assert (second.revision, second.text) == (2, "# New\n")
    (tmp_path / "CARD.md").write_text("---\nmetrics: {f1: 0.5}\n---\n")
    third = hub.models.set_card("cars", 1, tmp_path / "CARD.md", organisation="acme")
    assert third.facts["metrics"] == {"f1": {"value": 0.5, "split": ""}}
    found = hub.models.cards("cars", 1, organisation="acme")
    assert [card.revision for card in found] == [3, 2, 1]
    with pytest.raises(plaza.PlazaError) as caught:
        hub.models.set_card("cars", 2, "# New\n", organisation="acme")
    assert caught.value.code == "model_not_found"
