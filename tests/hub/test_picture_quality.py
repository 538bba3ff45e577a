"""Faults of pictures through a running hub: by the public judge, and by one's own in a cell; the
ledger has every unit."""

import numpy as np
import pytest

import plaza
from benchmarks.quality.sitting import BUNDLES
from plaza_training.vision.conditions import render_camera
from plaza_training.vision.damage import black, encoded, smear
from plaza_training.vision.limits import with_limits
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

ROAD = np.asarray(render_camera(np.random.default_rng(3), "day").picture)
FINE = encoded(ROAD)
TORN = encoded(smear(np.random.default_rng(0), ROAD))
DARK = encoded(black(np.random.default_rng(0), ROAD))


@pytest.fixture(scope="module", autouse=True)
def judge(hub):
    """The public one; a hub of tests has it only here."""
    hub.admin.models.register(BUNDLES / "picture-quality", visibility="public")


def charged(hub, name):
    used = hub.admin.usage(by="model", organisation=name)
    return sum(one.charge for one in used if one.labels["model"] == "picture-quality")


def test_the_public_judge_needs_no_name_and_is_charged_for_looking(hub, organisation):
    name, _, client = organisation
    found = until(lambda: client.quality([FINE, TORN, FINE[:3000]]))
    assert found.model.endswith("picture-quality")
    assert [list(one["faults"]) for one in found.pictures] == [[], ["torn"], ["damaged"]]
    assert found.usable == 1
    assert found.cost.host_us > found.cost.compute_us
    assert found.cost.charge >= found.cost.host_us
    until(lambda: charged(hub, name) == found.cost.charge)
    with pytest.raises(plaza.PlazaError) as refused:
        client.quality([b"<html>offline</html>"])
    assert (refused.value.code, refused.value.input) == ("invalid_input", "images[0]")
    assert charged(hub, name) == found.cost.charge, "a refused request costs nothing"


def test_limits_of_ones_own_are_judged_by_in_a_cell(hub, organisation, tmp_path):
    _, _, client = organisation
    with_limits(BUNDLES / "picture-quality", {"bright": 1, "flat": 1}, tmp_path / "tunnel")
    client.models.register(tmp_path / "tunnel", name="tunnel")
    own = until(lambda: client.quality([DARK], model="tunnel"))
    assert own.pictures[0]["faults"] == []
    public = client.quality([DARK], model="picture-quality")
    assert public.pictures[0]["faults"] == ["black"]
    with pytest.raises(plaza.PlazaError, match="there are several") as refused:
        client.quality([DARK])
    assert refused.value.input == "model"
