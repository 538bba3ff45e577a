"""What Ray Serve is told, read by Ray's own schema."""

import warnings

import pytest

from plaza_core.settings import Settings
from plaza_serving.control.serve_config import DEPLOYMENT, serve_config


@pytest.fixture
def settings():
    return Settings(listen="127.0.0.1", http_port=8123, replicas=3, replica_cpus=0.25)


@pytest.fixture(scope="module")
def ray_schema():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ray 2.60 declares fields in a way pydantic deprecates
        from ray.serve.schema import ServeDeploySchema

    return ServeDeploySchema


def test_ray_accepts_it_and_keeps_every_field(settings, ray_schema):
    config = serve_config(settings)
    parsed = ray_schema.model_validate(config).model_dump(mode="json", exclude_unset=True)
    assert parsed == config


def test_the_settings_decide_addresses_and_sizes(settings):
    config = serve_config(settings)
    (app,) = config["applications"]
    (deployment,) = app["deployments"]

    assert config["http_options"] == {"host": "127.0.0.1", "port": 8123}
    assert (app["name"], app["route_prefix"]) == ("main", "/")
    assert deployment["num_replicas"] == 3
    assert deployment["ray_actor_options"] == {"num_cpus": 0.25}


def test_serve_never_refuses_before_the_hubs_own_queue_does():
    (app,) = serve_config(Settings(queue_limit=5000))["applications"]
    (deployment,) = app["deployments"]
    assert deployment["max_ongoing_requests"] > 5000
    assert deployment["max_queued_requests"] > 5000


def test_updates_start_new_replicas_before_old_ones_stop(settings):
    (app,) = serve_config(settings)["applications"]
    assert app["deployments"][0]["max_surge_percent"] == 100


def test_nothing_in_it_takes_replicas_out_of_rotation_when_models_change(settings):
    (app,) = serve_config(settings)["applications"]
    assert "user_config" not in app["deployments"][0]


@pytest.mark.usefixtures("ray_schema")
def test_it_names_the_application_that_exists(settings):
    from plaza_serving.rayapp.app import PoolReplica

    (app,) = serve_config(settings)["applications"]
    assert app["import_path"] == "plaza_serving.rayapp.app:build"
    assert PoolReplica.name == DEPLOYMENT == app["deployments"][0]["name"]
