"""Both clients' verbs of cards, against the real admin API."""

from __future__ import annotations

import pytest

import plaza
from tests.client.real import real_control
from tests.tenancy.world import make_version


@pytest.fixture
def world(tmp_path):
    with real_control(
        tmp_path / "state", ["acme"], [make_version(name="cars", card="# Old\n")]
    ) as world:
        yield world


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
