"""The whole recipe in small: train, export, compare with torch, measure through the bundle."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (the extra 'train')")

from plaza_core.manifest import parse_manifest
from plaza_core.plugins import ACCELERATORS, load
from plaza_models.tasks import DetectTask
from plaza_training.card import read_front_matter
from plaza_training.pipeline import produce
from plaza_training.progress import Silent
from plaza_training.recipe import Job
from plaza_training.served import serve
from plaza_training.vision.smoke import smoke

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def runners():
    return load(ACCELERATORS, "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory, runners):
    out = tmp_path_factory.mktemp("bundles")
    return produce("road-vehicles-smoke", smoke, Job(out, 7, Silent()), out, runners)


def test_it_learns_to_find_cars_it_never_saw(made):
    metrics = made.report.metrics
    assert metrics["ap50_unseen"] > 0.7
    constant = made.report.baselines["always the median count"]
    assert metrics["count_mae_unseen"] < constant["count_mae_unseen"]


def test_the_exported_graph_is_the_module(made):
    assert made.parity.max_abs_error < 1e-3  # of boxes in pixels
    assert made.parity.rows == 16
    card = read_front_matter((made.directory / "CARD.md").read_text())
    assert card["metrics"]["ap50_known"] == pytest.approx(
        card["parameters"]["ap50_known_by_torch"], abs=1e-4
    )


def test_rows_of_a_batch_do_not_touch_each_other(made, runners):
    served = serve(made.directory, runners)
    try:
        image = (made.directory / "samples/rendered-road.jpg").read_bytes()
        one = served.family.prepare(DetectTask(image)).tensors["image"]
        alone = served.runner.run({"image": one})
        together = served.runner.run({"image": np.concatenate((one, 1 - one, one))})
        for name, rows in together.items():
            assert len(rows) == 3
            np.testing.assert_allclose(rows[0], alone[name][0], atol=1e-4)
            np.testing.assert_allclose(rows[2], alone[name][0], atol=1e-4)
    finally:
        served.runner.close()


def test_the_bundle_is_complete(made):
    manifest = parse_manifest((made.directory / "plaza.yaml").read_bytes())
    assert manifest.signature_spec().batched
    assert [s for s in manifest.samples if not (made.directory / s).is_file()] == []
    assert made.model_bytes <= 4_000_000
    assert "rendered" in (made.directory / "CARD.md").read_text()
