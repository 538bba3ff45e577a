"""The reconciler against a small Ray dashboard: whatever happens to Ray, it is told again."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.settings import Settings
from plaza_core.testing import FakeClock
from plaza_serving.control.reconciler import APPLICATIONS, Reconciler, ray_client, satisfies
from plaza_serving.control.serve_config import serve_config

TOKEN = "the token"


class Dashboard:
    """Ray's REST API as far as it is used: remembers what was PUT, forgets it when restarted."""

    def __init__(self):
        self.up = True
        self.refuse = 0
        self.status = "RUNNING"
        self.puts = []
        self.applications = {}

    def restart(self):
        self.applications = {}

    def __call__(self, request):
        if not self.up:
            raise httpx.ConnectError("refused", request=request)
        assert request.url.path == APPLICATIONS
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return httpx.Response(403)
        if request.method == "GET":
            return httpx.Response(200, json={"applications": self.applications})
        if self.refuse:
            return httpx.Response(self.refuse, text="Traceback: /some/path")
        self.puts.append(json.loads(request.content))
        for app in self.puts[-1]["applications"]:
            self.applications[app["name"]] = self.details(app)
        return httpx.Response(200)

    def details(self, app):
        replica = {"state": "RUNNING", "replica_id": "x"}
        deployments = {
            d["name"]: {
                "target_num_replicas": d["num_replicas"],
                "replicas": [replica] * d["num_replicas"],
            }
            for d in app["deployments"]
        }
        return {
            "status": self.status,
            "source": "declarative",
            "deployed_app_config": app,
            "deployments": deployments,
            "message": "Traceback: /some/path",
        }


class World:
    def __init__(self):
        self.ray = Dashboard()
        self.clock = FakeClock()
        self.desired = serve_config(Settings(replicas=2))
        self.reconciler = self.control()

    def control(self):
        """A control process that just started."""
        client = ray_client(8265, TOKEN, httpx.MockTransport(self.ray))
        return Reconciler(client, self.desired, self.clock)

    async def steps(self, count):
        return [await self.reconciler.step() for _ in range(count)]


@pytest.fixture
def world():
    return World()


async def test_an_empty_ray_is_told_in_the_first_step_that_reaches_it(world):
    world.ray.up = False
    waits = await world.steps(3)
    assert all(wait <= 0.25 for wait in waits), "a head that comes back is seen within a second"
    assert not world.reconciler.state.reachable

    world.ray.up = True
    await world.steps(1)

    assert world.ray.puts == [world.desired]
    assert world.reconciler.state.reachable


async def test_what_runs_is_left_alone(world):
    await world.steps(20)
    assert len(world.ray.puts) == 1
    state = world.reconciler.state
    assert (state.applied, state.error) == (1, None)
    assert (state.applications["main"].running, state.applications["main"].wanted) == (2, 2)


async def test_a_control_that_restarts_changes_nothing(world):
    await world.steps(2)
    world.reconciler = world.control()
    await world.steps(5)
    assert len(world.ray.puts) == 1


async def test_a_head_that_restarted_is_told_everything_again(world):
    await world.steps(3)
    world.ray.restart()
    await world.steps(1)
    assert world.ray.puts == [world.desired] * 2


async def test_a_head_that_was_away_is_told_again_even_after_failures(world):
    world.ray.refuse = 500
    await world.steps(6)
    world.ray.up = False
    await world.steps(1)
    world.ray.up, world.ray.refuse = True, 0
    assert await world.reconciler.step() <= 0.5, "the backoff of the head before is forgotten"
    assert len(world.ray.puts) == 1


async def test_changed_settings_are_applied(world):
    await world.steps(2)
    world.desired = serve_config(Settings(replicas=4))
    world.reconciler = world.control()
    await world.steps(3)
    assert len(world.ray.puts) == 2
    assert world.reconciler.state.applications["main"].wanted == 4


async def test_a_build_that_keeps_failing_is_tried_ever_more_slowly(world):
    world.ray.status = "DEPLOY_FAILED"
    waits = await world.steps(8)
    assert len(world.ray.puts) == 8
    assert waits == sorted(waits)
    assert waits[-1] == 30


async def test_while_it_deploys_it_is_watched_closely_and_not_disturbed(world):
    world.ray.status = "DEPLOYING"
    waits = await world.steps(10)
    assert len(world.ray.puts) == 1
    assert max(waits) <= 0.5


async def test_a_pool_that_is_no_longer_wanted_is_taken_away(world):
    await world.steps(2)
    old = {**world.ray.applications["main"], "deployed_app_config": {"name": "old"}}
    world.ray.applications["old"] = old
    await world.steps(1)
    assert len(world.ray.puts) == 2

    world.ray.applications["old"] = {**old, "status": "DELETING"}
    await world.steps(3)
    assert len(world.ray.puts) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
async def test_refusals_are_reported_without_rays_words(world, status):
    world.ray.refuse = status
    waits = await world.steps(4)
    assert waits == sorted(waits)
    assert world.reconciler.state.error == f"Ray answered {status}"


async def test_an_answer_that_is_no_json_counts_as_unreachable(world):
    client = ray_client(
        8265, TOKEN, httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    )
    reconciler = Reconciler(client, world.desired, world.clock)
    await reconciler.step()
    assert not reconciler.state.reachable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(json_values)
def test_everything_satisfies_itself(value):
    assert satisfies(value, value)


@given(st.dictionaries(st.text(max_size=3), json_values, min_size=1), st.data())
def test_more_is_fine_and_less_is_not(value, data):
    key = data.draw(st.sampled_from(sorted(value)))
    less = {k: v for k, v in value.items() if k != key}
    assert satisfies(value, less)
    assert not satisfies(less, value)
