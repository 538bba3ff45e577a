"""The shipped bundles answer in a cell as outside; an organisation's model comes back by itself."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from plaza_accel.providers.cpu import CpuProvider
from plaza_core.clock import SystemClock
from plaza_core.ids import Digest, OrganisationId
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_core.settings import Settings
from plaza_core.table import VersionEntry
from plaza_models.forecast.tasks import AnomalyTask, WarningTask
from plaza_models.tasks import ClassifyTask, DetectTask, EmbedTask, ForecastsTask, ForecastTask
from plaza_serving.assembly import cells_of, open_family
from tests.serving.whole import ROWS, whole_hub

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
INFER = "/v2/models/doubler/infer"


async def test_an_organisations_model_runs_in_a_cell_and_comes_back_when_that_dies(tmp_path):
    async with whole_hub(tmp_path) as hub:
        engineer = await hub.new_key(role="engineer")
        key = await hub.new_key()
        await hub.register(engineer)
        body = json.dumps(ROWS).encode()

        async def ask():
            answer = await hub.ask("POST", INFER, body, key=key)
            return answer.status, json.loads(answer.body)

        async with asyncio.timeout(30):
            while (found := await ask())[0] != 200:
                await asyncio.sleep(0.05)
        cells = hub.replica._cells
        ((pid, owner),) = cells.running().items()
        assert owner.startswith("org_")
        os.kill(pid, signal.SIGKILL)
        status, said = await ask()
        assert (status, said.get("code")) in {(503, "cell_died"), (200, None)}
        status, again = await ask()
        assert status == 200
        assert again["outputs"] == found[1]["outputs"]
        assert pid not in cells.running()


def task_of(directory, manifest):
    match manifest.family:
        case "vision.detect":
            return DetectTask((directory / manifest.samples[0]).read_bytes(), threshold=0.05)
        case "forecast.quantile":
            context, ahead = manifest.options["context"], 2
            values = tuple((np.sin(np.arange(context) / 3) * 40 + 50).tolist())
            known = ((1.0,) * (context + ahead),) * len(manifest.options.get("known", ()))
            if (series := manifest.options.get("series", 1)) > 1:
                return ForecastsTask((values,) * series, ahead, known=known)
            return ForecastTask(values, ahead, known=known)
        case "text.classify":
            return ClassifyTask(("when does my card arrive", "what is this fee"))
        case "text.embed":
            return EmbedTask(("eins", "zwei drei"))


def in_a_cell_as_outside(name, task, tmp_path):
    """Both answers, the one that was given in the cell first."""
    directory = BUNDLES / name
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())

    def answer(runner, family):
        prepared = family.prepare(task)
        return family.interpret(runner.run(prepared.tensors), prepared.context)

    outside = CpuProvider().open(directory, manifest)
    expected = answer(outside, open_family(directory, manifest, max_pixels=10**7))
    settings = Settings(state_dir=tmp_path)
    cells = cells_of(settings.all_pools[0], settings, SystemClock())
    try:
        entry = VersionEntry(version=1, digest=Digest("0" * 64), manifest=manifest, files=[])
        return answer(*cells.open(directory, entry, OrganisationId("org_acme"))), expected
    finally:
        cells.close()


@pytest.mark.parametrize("name", sorted(each.name for each in BUNDLES.iterdir()))
def test_a_shipped_bundle_answers_in_a_cell_as_outside(name, tmp_path):
    directory = BUNDLES / name
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    found, expected = in_a_cell_as_outside(name, task_of(directory, manifest), tmp_path)
    assert type(found) is type(expected)
    if manifest.family == "text.embed":
        assert np.array_equal(found.vectors, expected.vectors)
        assert found.tokens == expected.tokens
    else:
        assert found == expected


@pytest.mark.parametrize("kind", ["anomalies", "warning"])
def test_anomalies_and_warnings_leave_a_cell_whole_with_their_drawings(kind, tmp_path):
    hours = np.arange(168.0 + 48)
    known = (tuple((hours % 24).tolist()), tuple((180 + hours // 24).tolist()))
    values = (11 + 2 * np.sin(hours[:168] * np.pi / 12)).tolist()
    if kind == "warning":
        task = WarningTask((tuple(values),), "2026-07-01", known=known, draw=0)
    else:
        series = (*values, math.nan, 99.0)
        task = AnomalyTask((series,), known=tuple(row[:170] for row in known), draw=0)
    found, expected = in_a_cell_as_outside("wet-bulb-forecaster", task, tmp_path)
    assert found == expected
    assert found.picture.startswith(b"<svg")
