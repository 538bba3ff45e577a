"""Vehicles over a line of a real street are as many as were counted by hand."""

import os
from pathlib import Path

import pytest

from plaza_accel.providers.cpu import provider
from plaza_training.served import serve
from plaza_training.vision.passing import BY_HAND, FPS, passed, read_clip

DATA = Path(os.environ.get("PLAZA_DATA", "data"))
BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "road-vehicles"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / "vis-opendatacam-clip").is_dir(), reason=f"no vis-opendatacam-clip in {DATA}"
    ),
]


@pytest.mark.parametrize("step", [6, *(pytest.param(n, marks=pytest.mark.prove) for n in (1, 3))])
def test_at_any_rate(step):
    served = serve(BUNDLE, provider)
    found = passed(served, read_clip(DATA)[::step], FPS / step)
    served.runner.close()
    assert abs(found.inbound - BY_HAND) <= 1
    assert found.outbound == 0
    assert found.usable == found.frames
