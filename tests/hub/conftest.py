"""One real hub for the whole session: supervisor, control, Ray Serve behind HAProxy, MLflow."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks import exact, graphs
from benchmarks.hub import running_hub
from benchmarks.shipped import REGISTERED
from plaza_core.tensors import DType
from tests.hub.waiting import until

AT_ONCE = 3
"""Registrations side by side: each examines its model in a process of its own."""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    state = tmp_path_factory.mktemp("hub") / "state"
    with running_hub(state, **exact.SETTINGS) as running:
        running.models = tmp_path_factory.mktemp("models")
        running.detector = "road-vehicles"
        admin = running.admin
        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = [
                pool.submit(admin.models.register, bundle, visibility="public")
                for bundle in REGISTERED
            ]
            made.append(pool.submit(register, running, "tiny", graphs.tiny()))
            made.append(pool.submit(exact.prepare, running, running.models))
            made += [
                pool.submit(
                    register, running, f"identity-{datatype.lower()}", graphs.identity(datatype)
                )
                for datatype in DType
            ]
            for one in made:
                one.result()
        yield running


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A second hub: two replicas, and every request goes through Ray Serve's own code."""
    place = tmp_path_factory.mktemp("plain")
    with running_hub(place / "state", bypass=False, replicas=2, **exact.SETTINGS) as running:
        running.admin.models.register(graphs.tiny().write(place / "tiny"), visibility="public")
        exact.prepare(running, place)
        exact.all_know(running)
        yield running


def register(running, name, graph, **options):
    """Write a graph as a bundle and register it, public unless told otherwise."""
    directory = running.models / f"{name}-{next(_numbers)}"
    graph.manifest["name"] = name
    graph.write(directory)
    options.setdefault("visibility", "public")
    return running.admin.models.register(directory, **options)


@pytest.fixture
def organisation(hub):
    """A fresh organisation: (name, key text, client)."""
    name = f"org-{next(_numbers)}"
    hub.admin.orgs.create(name)
    key = hub.admin.keys.create(name, role="engineer").key
    client = hub.client(key)
    until(lambda: client.infer("tiny", {"x": np.zeros((1, 4), np.float32)}))
    return name, key, client


@pytest.fixture(scope="session")
def key(hub):
    """A consumer's key that works on every replica."""
    hub.admin.orgs.create("everybody")
    text = hub.admin.keys.create("everybody", role="consumer").key
    client = hub.client(text)
    for _ in range(10):
        until(lambda: client.infer("tiny", {"x": np.zeros((1, 4), np.float32)}))
    return text
