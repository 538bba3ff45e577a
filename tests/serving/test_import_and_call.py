"""A model logged with stock MLflow is imported by name and answers, through a whole hub."""

import asyncio
import json

import numpy as np
import pytest

from tests.registry.logged import linear_model, log_linear, weights_of
from tests.serving.whole import whole_hub

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, all over its writers
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
    pytest.mark.timeout(240),
]
WIDTH = 8


async def test_it_is_imported_and_called(mlflow_server, monkeypatch, tmp_path):
    address = mlflow_server.address
    run = log_linear(address, width=WIDTH, registered="Linear", tags={"plaza.organisation": "acme"})
    monkeypatch.setenv("PLAZA_MLFLOW_URI", address)
    async with whole_hub(tmp_path / "state") as hub:
        engineer = await hub.new_key(role="engineer")
        asked = {"source": "models:/Linear/1", "visibility": "organisation"}

        made = await hub.made("POST", "/api/v1/imports", asked, key=engineer)
        again = await hub.made("POST", "/api/v1/imports", asked, key=engineer)

        assert (made["name"], made["version"], made["created"]) == ("linear", 1, True)
        assert (again["version"], again["created"]) == (1, False)
        assert (made["lineage"]["run"], made["lineage"]["source"]) == (run, "models:/Linear/1")
        versions = await hub.made("GET", "/api/v1/models/linear/versions", key=engineer)
        assert versions["items"][0]["lineage"]["metrics"] == {"accuracy": 0.93}
        await answers(hub, await hub.new_key())
        await mirrored(hub, address, made, run)

        await hub.made("POST", "/api/v1/organisations", {"name": "globex"})
        path = "/api/v1/organisations/globex/keys"
        stranger = (await hub.made("POST", path, {"role": "engineer"}, quiet=True))["key"]
        refused, _ = await hub.control("POST", "/api/v1/imports", asked, key=stranger)
        consumer, _ = await hub.control("POST", "/api/v1/imports", asked, key=await hub.new_key())
        assert (refused, consumer) == (404, 403)


async def answers(hub, key):
    given = np.arange(WIDTH, dtype=np.float32)
    tensor = {"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": given.tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    async with asyncio.timeout(60):
        while (
            answer := await hub.ask("POST", "/v2/models/linear/infer", body, key=key)
        ).status != 200:
            await asyncio.sleep(0.02)
    found = np.array(answer.json()["outputs"][0]["data"], np.float32)
    assert np.allclose(found, given @ weights_of(linear_model(width=WIDTH)), rtol=1e-5)


async def mirrored(hub, address, made, run):
    """MLflow leads from the hub's version to the run that it was imported from."""
    from mlflow import MlflowClient

    async with asyncio.timeout(60):
        while not await asyncio.to_thread(hub.parts.registrar.mirror.drain):
            await asyncio.sleep(0.1)
    version = MlflowClient(address, address).get_model_version(made["model"], "1")
    assert (version.run_id, version.tags["plaza.source"]) == (run, "models:/Linear/1")
    assert version.tags["plaza.metric.accuracy"] == "0.93"
