"""A real MLflow server that dies or hangs, and an embedded store that is locked: the hub goes on,
says so, and tells all of it later, in order."""

import asyncio
import sqlite3
import time

import pytest

from plaza_registry.mirror import Mirror
from plaza_registry.mlflow_tracker import MlflowTracker

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.timeout(240),
]
SOON_S = 20.0
"""Long before any time-out of MLflow's own; on an idle machine it is under 3 s."""


def follow(world, uri):
    """Have the hub mirror to `uri`; returns a stock client of it."""
    from mlflow import MlflowClient

    world.parts.registrar.mirror = Mirror(world.parts.tenancy.proposals, MlflowTracker(uri))
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
async def engineer(world):
    return (await world.organisation("acme", engineer={"role": "engineer"}))["engineer"]


async def register(world, engineer, make_bundle):
    async with asyncio.timeout(SOON_S):
        answer = await world.register(engineer, make_bundle("doubler"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def promote(world, engineer, version):
    async with asyncio.timeout(SOON_S):
        url = "/api/v1/models/doubler/aliases/champion"
        answer = await world.ask(engineer, "PUT", url, json={"version": version})
    assert answer.status_code == 200, answer.text


async def lag(world):
    return (await world.ask(world.operator, "GET", "/api/v1/status")).json()["mlflow"]


def caught_up(world):
    deadline = time.monotonic() + 60
    while not world.parts.registrar.mirror.drain():
        assert time.monotonic() < deadline
    assert world.parts.tenancy.proposals.waiting().items == 0


def shows(client, model):
    found = client.get_registered_model(model)
    versions = client.search_model_versions(f"name = '{model}'")
    digests = {int(v.version): v.tags["plaza.digest"] for v in versions}
    return digests, {alias: int(at) for alias, at in found.aliases.items()}


@pytest.fixture
def paused(mlflow_server):
    mlflow_server.pause()
    yield
    mlflow_server.resume()


@pytest.fixture
def killed(mlflow_server):
    mlflow_server.stop()
    yield
    if mlflow_server.process is None:
        mlflow_server.start()


async def goes_on(world, engineer, make_bundle):
    """Register and roll back while MLflow is away; returns what was registered."""
    made = [await register(world, engineer, make_bundle) for _ in range(3)]
    assert [one["tracked"] for one in made] == [False] * 3
    assert all(one["why_not_tracked"] for one in made)
    for version in (2, 3, 2):
        await promote(world, engineer, version)
    waiting = await lag(world)
    told = len(made) + 4 * 3 - 1  # each move: the alias and two states; the first time only one
    assert waiting["waiting"] == told
    assert waiting["since_unix_us"] == world.clock.unix_us()
    return made


async def test_a_server_that_died_hears_of_all_of_it_when_it_is_back(
    world, engineer, make_bundle, mlflow_server, killed
):
    client = follow(world, mlflow_server.address)
    made = await goes_on(world, engineer, make_bundle)
    assert world.parts.registrar.mirror.drain() is False
    assert (await lag(world))["problem"] == "MLflow cannot be reached"

    mlflow_server.start()
    caught_up(world)

    digests = {one["version"]: one["digest"] for one in made}
    assert shows(client, made[0]["model"]) == (digests, {"champion": 2})
    assert (await lag(world))["waiting"] == 0
    assert world.parts.registrar.mirror.poll() == 0


async def test_a_server_that_hangs_holds_nobody(
    world, engineer, make_bundle, mlflow_server, paused
):
    client = follow(world, mlflow_server.address)
    made = await goes_on(world, engineer, make_bundle)
    mlflow_server.resume()
    caught_up(world)
    digests = {one["version"]: one["digest"] for one in made}
    assert shows(client, made[0]["model"]) == (digests, {"champion": 2})
    assert world.parts.registrar.mirror.poll() == 0


async def test_a_locked_embedded_store_holds_nobody(world, engineer, make_bundle, tmp_path):
    path = tmp_path / "embedded.db"
    client = follow(world, f"sqlite:///{path}")
    client.search_registered_models()  # makes its tables
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        made = await goes_on(world, engineer, make_bundle)
    finally:
        lock.rollback()
        lock.close()
    caught_up(world)
    digests = {one["version"]: one["digest"] for one in made}
    assert shows(client, made[0]["model"]) == (digests, {"champion": 2})


async def test_a_hub_that_changes_its_mlflow_tells_the_new_one_everything(
    world, engineer, make_bundle, mlflow_server, tmp_path
):
    follow(world, f"sqlite:///{tmp_path}/first.db")
    made = [await register(world, engineer, make_bundle) for _ in range(2)]
    caught_up(world)
    await promote(world, engineer, 2)
    caught_up(world)
    client = follow(world, mlflow_server.address)
    assert world.parts.registrar.mirror.poll() == 0
    caught_up(world)
    digests = {one["version"]: one["digest"] for one in made}
    assert shows(client, made[0]["model"]) == (digests, {"champion": 2})


async def test_people_see_and_move_aliases_in_real_mlflow(
    world, engineer, make_bundle, mlflow_server
):
    client = follow(world, mlflow_server.address)
    model = (await register(world, engineer, make_bundle))["model"]
    await register(world, engineer, make_bundle)
    caught_up(world)
    client.set_registered_model_alias(model, "champion", "2")
    client.set_registered_model_alias(model, "by-hand", "1")
    assert world.parts.registrar.mirror.poll() == 2
    assert world.parts.registrar.mirror.poll() == 0
    found = (await world.ask(engineer, "GET", "/api/v1/proposals")).json()["items"]
    ids = {one["alias"]: one["id"] for one in found}
    await world.ask(engineer, "POST", f"/api/v1/proposals/{ids['champion']}/accept")
    await world.ask(engineer, "POST", f"/api/v1/proposals/{ids['by-hand']}/reject")
    caught_up(world)
    assert shows(client, model)[1] == {"champion": 2}
    assert world.parts.registrar.mirror.poll() == 0
