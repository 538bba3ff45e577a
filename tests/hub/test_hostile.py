"""Hostile models are refused one after another, and who asks beside them notices nothing."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import plaza
from plaza_accel.gate.external import plain_files
from plaza_accel.gate.rules import Rule
from tests.accel.hostile import corpus
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

X = {"x": np.ones((1, 4), np.float32)}
WITHIN_S = 10
LARGEST = 256 << 20


class Neighbour:
    """Asks in a loop until told to stop; keeps every failure."""

    def __init__(self, client):
        self.took, self.failed = [], []
        self._client, self._stop = client, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        expected = self._client.infer("tiny", X)["y"]
        while not self._stop.wait(0.005):
            started = time.monotonic()
            try:
                np.testing.assert_array_equal(self._client.infer("tiny", X)["y"], expected)
            except (plaza.PlazaError, AssertionError) as error:
                self.failed.append(error)
            self.took.append(time.monotonic() - started)


def refused(client, directory):
    """(code, message, seconds) of registering a bundle that must not become a version."""
    started = time.monotonic()
    with pytest.raises(plaza.PlazaError) as caught:
        client.models.register(directory, name="hostile")
    return caught.value.code, str(caught.value), time.monotonic() - started


def register_all(hub, organisation, key, names):
    name, _, sender = organisation
    control = until(lambda: hub.admin.models.show("tiny"))
    seen, cases = {}, {}
    for number, title in enumerate(names):
        directory = corpus.CORPUS[title]().write(hub.models / f"{name}-hostile-{number}")
        plain = plain_files(directory)
        if (
            all(path.name in plain for path in directory.iterdir())
            and sum(plain.values()) < LARGEST
        ):
            cases[title] = directory  # an upload carries bytes of files: no link, no pipe, no hole
    with Neighbour(hub.client(key)) as neighbour:
        for title, directory in cases.items():
            seen[title] = refused(sender, directory)
    assert neighbour.failed == []
    assert len(neighbour.took) > len(seen)
    for title, (code, message, took) in seen.items():
        assert code == "invalid_bundle", (title, message)
        # What the registry itself sees before the gate has a file's name instead of a rule.
        named = any(f"(rule {rule}" in message for rule in Rule) or "the examination" not in message
        assert named, (title, message)
        assert took < WITHIN_S, (title, took)
    assert [model.name for model in sender.models.list() if model.name == "hostile"] == []
    assert hub.admin.models.show("tiny") == control
    return {
        "asked": len(neighbour.took),
        "failed": len(neighbour.failed),
        "neighbour_ms": {
            share: round(float(np.quantile(neighbour.took, share)) * 1000, 1)
            for share in (0.5, 0.99, 0.999, 1.0)
        },
        "slowest_refusal_s": max(round(took, 2) for _, _, took in seen.values()),
        "files": {title: [message, round(took, 2)] for title, (_, message, took) in seen.items()},
    }


def test_hostile_files_are_refused_while_a_neighbour_is_served(hub, organisation, key):
    register_all(hub, organisation, key, corpus.SHORT)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_the_whole_corpus_is_refused_while_a_neighbour_is_served(hub, organisation, key):
    numbers = register_all(hub, organisation, key, corpus.CORPUS)
    assert len(numbers["files"]) >= 110
    if told := os.environ.get("PLAZA_HOSTILE_RESULTS"):
        Path(told).write_text(json.dumps(numbers))
