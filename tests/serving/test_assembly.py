"""Families are found by name, and pictures have a limit that the operator sets."""

import io
from pathlib import Path

import pytest
from PIL import Image

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_models.tasks import DetectTask
from plaza_serving.assembly import open_family
from tests.serving.dataplane.world import make_manifest

DETECTOR = Path(__file__).parents[2] / "models" / "bundles" / "road-vehicles"


def test_an_unknown_family_is_a_fault_of_the_bundle(tmp_path):
    with pytest.raises(InvalidBundle) as refused:
        open_family(tmp_path, make_manifest(family="no.such"), max_pixels=1)
    assert refused.value.input == "family"


def test_the_limit_on_pictures_reaches_the_family():
    manifest = parse_manifest((DETECTOR / MANIFEST_FILE).read_bytes())
    picture = io.BytesIO()
    Image.new("RGB", (100, 100)).save(picture, "PNG")
    task = DetectTask(picture.getvalue())
    assert open_family(DETECTOR, manifest, max_pixels=10_000).prepare(task).rows == 1
    with pytest.raises(InvalidInput) as refused:
        open_family(DETECTOR, manifest, max_pixels=9_999).prepare(task)
    assert refused.value.input == "image"
