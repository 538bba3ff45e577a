"""What further pools make of Ray Serve's configuration, and how their size follows the queue."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from plaza_core.pools import Autoscaling, Pool
from plaza_core.settings import Settings
from plaza_serving.control.serve_config import SCALING_POLICY, serve_config
from plaza_serving.rayapp.scaling import METRIC, QueueTime

OV = Pool(
    name="ov",
    provider="openvino",
    environment="/opt/ov/bin/python",
    resources={"GPU": 0.5, "NPU": 1},
    cpus=0.2,
    autoscaling=Autoscaling(min_replicas=2, max_replicas=5, queue_ms=7),
)


@pytest.fixture(scope="module")
def ray_schema():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ray 2.60 declares fields in a way pydantic deprecates
        from ray.serve.schema import ServeDeploySchema

    return ServeDeploySchema


def test_each_pool_is_an_application_of_its_own():
    main, ov, plain = serve_config(Settings(pools=[OV, Pool(name="b", replicas=3)]))["applications"]
    assert [app["route_prefix"] for app in (main, ov, plain)] == ["/", "/pools/ov", "/pools/b"]
    assert [app["args"] for app in (main, ov)] == [{"pool": "main"}, {"pool": "ov"}]
    (actor,) = [one["ray_actor_options"] for one in ov["deployments"]]
    assert actor == {
        "num_cpus": 0.2,
        "num_gpus": 0.5,
        "resources": {"NPU": 1},
        "runtime_env": {"py_executable": "/opt/ov/bin/python"},
    }
    assert main["deployments"][0]["ray_actor_options"] == {"num_cpus": 0.1}
    assert plain["deployments"][0]["num_replicas"] == 3


@pytest.mark.parametrize(
    ("pool", "asked"),
    [
        ({"provider": "cann"}, {"resources": {"NPU": 1.0}}),
        ({"provider": "cuda"}, {"num_gpus": 1.0}),
        ({"provider": "cuda", "options": {"ray_amount": 0.5}}, {"num_gpus": 0.5}),
        ({"provider": "cuda", "resources": {"small": 2}}, {"resources": {"small": 2}}),
        ({"provider": "openvino"}, {}),
        (
            {"provider": "openvino", "options": {"device_type": "NPU"}},
            {"resources": {"intel_npu": 1.0}},
        ),
        ({"provider": "of-the-pools-environment-only"}, {}),
        ({"provider": "cuda", "options": {"no_such_option": 1}}, {}),
    ],
)
def test_what_the_settings_leave_out_is_what_the_provider_declares(pool, asked):
    (_, app) = serve_config(Settings(pools=[Pool(name="b", **pool)]))["applications"]
    assert app["deployments"][0]["ray_actor_options"] == {"num_cpus": 0.1, **asked}


def test_ray_accepts_it_and_keeps_every_field(ray_schema):
    config = serve_config(Settings(pools=[OV]))
    parsed = ray_schema.model_validate(config).model_dump(mode="json", exclude_unset=True)
    assert parsed == config


def test_bounds_take_the_place_of_a_number():
    (_, ov) = serve_config(Settings(pools=[OV]))["applications"]
    (deployment,) = ov["deployments"]
    assert "num_replicas" not in deployment
    scaling = deployment["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 5)
    assert scaling["policy"] == {
        "policy_function": SCALING_POLICY,
        "policy_kwargs": {"queue_ms": 7.0},
    }


def context(now, waits, least=1, most=4):
    return SimpleNamespace(
        target_num_replicas=now,
        capacity_adjusted_min_replicas=least,
        capacity_adjusted_max_replicas=most,
        aggregated_metrics={METRIC: dict(enumerate(waits))},
    )


@pytest.mark.parametrize(
    ("now", "waits", "wanted"),
    [
        (2, [30.0, 20.0], 3),  # they wait
        (2, [15.0, 10.0], 2),  # as wanted
        (2, [1.0, 0.0], 1),  # idle
        (4, [90.0], 4),  # never above the bounds
        (1, [0.0], 1),  # never below
        (2, [], 2),  # nobody has reported
        (9, [90.0], 4),
    ],
)
def test_the_queue_decides_within_the_bounds(now, waits, wanted):
    assert QueueTime(queue_ms=20.0)(context(now, waits)) == (wanted, {})


def test_the_policy_is_where_ray_is_told_to_look():
    module, _, name = SCALING_POLICY.partition(":")
    assert (QueueTime.__module__, QueueTime.__name__) == (module, name)
