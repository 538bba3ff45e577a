"""The model repository extension of a real hub, with unmodified tritonclient."""

import asyncio
from urllib.parse import urlsplit

import numpy as np
import pytest
import tritonclient.http.aio as triton
from tritonclient.utils import InferenceServerException

from benchmarks import graphs
from tests.hub.waiting import until
from tests.stock import stock_client

pytestmark = pytest.mark.hub

X = np.ones((1, 4), np.float32)


@pytest.fixture
def twice(hub, organisation):
    """(organisation, an engineer's key) of a model `shelf` with two versions, the first serving."""
    name, key, client = organisation
    for seed in (11, 12):
        directory = graphs.tiny(seed=seed).write(hub.models / f"{name}-shelf-{seed}")
        client.models.register(directory, name="shelf")
    until(lambda: "2" in client.metadata("shelf").versions)
    # Where the session's other models fill the memory, the first call is what opens it.
    until(lambda: client.infer("shelf", {"x": X}))
    return name, key


def headers(key):
    """Anew for each call: the client writes its own into the dictionary it is given."""
    return {"Authorization": f"Bearer {key}"}


async def states(client, key):
    index = await client.get_model_repository_index(headers=headers(key))
    return {one["version"]: one["state"] for one in index if one["name"] == "shelf"}


async def refused(verb, *names, **more):
    with pytest.raises(InferenceServerException) as caught:
        await verb(*names, **more)
    return caught.value.status()


async def test_load_a_second_version_call_it_and_unload_it(hub, twice):
    name, key = twice
    consumer = hub.admin.keys.create(name, role="consumer").key
    hub.admin.orgs.create(f"{name}-other")
    stranger = hub.admin.keys.create(f"{name}-other", role="engineer").key
    async with stock_client(urlsplit(hub.url).netloc) as client:
        metadata = await client.get_server_metadata(headers=headers(key))
        assert "model_repository" in metadata["extensions"]
        assert await states(client, key) == {"1": "READY", "2": "UNAVAILABLE"}

        second = "shelf/versions/2"
        await asyncio.to_thread(until, lambda: hub.client(consumer).metadata("shelf"))
        await asyncio.to_thread(until, lambda: hub.client(stranger).metadata("tiny"))
        for verb in (client.load_model, client.unload_model):
            assert await refused(verb, second, headers=headers(consumer)) == "403"
            assert await refused(verb, second, headers=headers(stranger)) == "404"
        assert await refused(client.load_model, second, headers(key), config="{}") == "422"
        assert await states(client, key) == {"1": "READY", "2": "UNAVAILABLE"}

        await client.load_model(second, headers=headers(key))
        assert await states(client, key) == {"1": "READY", "2": "READY"}
        given = triton.InferInput("x", [1, 4], "FP32")
        given.set_data_from_numpy(X)
        answer = await client.infer("shelf", [given], model_version="2", headers=headers(key))
        assert answer.get_response()["model_version"] == "2"

        await client.unload_model(second, headers=headers(key))
    _, newest = sorted((v.version, v.state) for v in hub.client(key).models.versions("shelf"))
    assert newest == (2, "examined")
    done = [entry.action for entry in hub.client(hub.admin_key).audit(organisation=name, limit=9)]
    assert [action for action in done if "stage" in action] == ["model.unstage", "model.stage"]
