import pytest

from tests.serving.idempotency.world import World


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def keys(world):
    """`admin` and `consumer` of acme, `stranger` of globex."""
    acme = await world.control.organisation(
        "acme", admin={"role": "admin"}, consumer={"role": "consumer"}
    )
    globex = await world.control.organisation("globex", stranger={"role": "consumer"})
    return acme | globex
