"""`kit()` makes planes that are closed when the test ends."""

import pytest

from tests.serving.dataplane.world import PlaneKit


@pytest.fixture
async def kit():
    made = []

    def make(**options):
        made.append(PlaneKit(**options))
        return made[-1]

    yield make
    for one in made:
        await one.plane.close()
