"""Opens versions in cells; what was opened is ended after the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import graphs
from plaza_accel.cells.keeper import CellKeeper, CellOptions, Point
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest, OrganisationId
from plaza_core.table import VersionEntry
from plaza_models.tasks import ClassifyTask

INMATE = "inmate:open_family"


class Opened:
    """A version in its cell, asked as a worker does."""

    def __init__(self, runner, family):
        self.runner = runner
        self.family = family

    def ask(self, command, number=1):
        """All three steps of a task."""
        prepared = self.family.prepare(ClassifyTask((command,), number))
        return self.family.interpret(self.runner.run(prepared.tensors), prepared.context)


class Prison:
    """prison(graph, organisation=…, …) -> Opened. `cells` is the real thing."""

    def __init__(self, bundle, **options):
        self._bundle = bundle
        self.point = Point(INMATE, {})
        settings = {
            "channels": 2,
            "headroom_bytes": 64 << 20,
            "idle_ns": 0,
            "vocabulary": "plaza_models.tasks",
            **options,
        }
        self.cells = CellKeeper(CellOptions(**settings), lambda manifest: self.point, SystemClock())
        self._made = 0

    def entry(self, manifest, digest=None):
        self._made += 1
        name = Digest(digest or f"{self._made:064x}")
        return VersionEntry(version=1, digest=name, manifest=manifest, files=[])

    def __call__(self, graph=None, *, organisation="org_a", digest=None, **options):
        directory, manifest = self._bundle(graph or graphs.tiny())
        self.point = Point(INMATE, options)
        entry = self.entry(manifest, digest)
        return Opened(*self.cells.open(directory, entry, OrganisationId(organisation)))


@pytest.fixture
def make_prison(bundle, monkeypatch):
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    made = []

    def make(**options):
        made.append(Prison(bundle, **options))
        return made[-1]

    yield make
    for each in made:
        each.cells.close()


@pytest.fixture
def prison(make_prison):
    return make_prison()
