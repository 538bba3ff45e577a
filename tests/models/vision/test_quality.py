"""A picture that shows nothing is named as what it is; a good one, by day or night, is not."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plaza_core.errors import InvalidInput
from plaza_models.vision.image import decode
from plaza_models.vision.quality import look
from plaza_training.vision.conditions import CONDITIONS, render_camera
from plaza_training.vision.damage import DAMAGES, encoded
from plaza_training.vision.quality import frames, tell

DATA = Path(os.environ.get("PLAZA_DATA", "data"))
STILLS = DATA / "vis-uk-traffic-stills"


def faults(pixels):
    return look(decode(encoded(np.asarray(pixels))).pixels).faults


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("seed", range(3))
def test_a_good_picture_has_no_fault_by_day_night_or_rain(condition, seed):
    scene = render_camera(np.random.default_rng(seed), condition)
    assert faults(scene.picture) == ()


# Rendered fields are too even for a slip to show; photographs below are not.
@pytest.mark.parametrize("name", sorted(set(DAMAGES) - {"slip"}))
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_picture_is_named(name, seed):
    fault, damage = DAMAGES[name]
    rng = np.random.default_rng(seed)
    pixels = np.asarray(render_camera(rng, "day").picture)
    assert fault in faults(damage(rng, pixels))


def test_overexposed_is_white():
    noise = np.random.default_rng(0).normal(253, 1, (120, 160, 3))
    assert faults(noise.clip(0, 255).astype(np.uint8)) == ("white",)


def test_the_same_picture_again_is_frozen_and_another_of_the_same_place_is_not():
    rng = np.random.default_rng(1)
    scene = np.asarray(render_camera(rng, "day").picture).astype(np.int16)
    first = look(decode(encoded(scene.astype(np.uint8))).pixels)
    again = look(decode(encoded(scene.astype(np.uint8))).pixels, first)
    assert again.faults == ("frozen",)
    noisy = (scene + rng.normal(0, 1.5, scene.shape)).clip(0, 255).astype(np.uint8)
    assert look(decode(encoded(noisy)).pixels, first).faults == ()


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_whatever_the_size_there_is_an_answer(width, height, seed):
    pixels = np.random.default_rng(seed).integers(64, 256, (height, width, 3)).astype(np.uint8)
    first = look(pixels)
    assert "black" not in first.faults
    assert "frozen" in look(pixels, first).faults


@pytest.mark.data
@pytest.mark.skipif(not STILLS.is_dir(), reason=f"no vis-uk-traffic-stills in {DATA}")
def test_of_the_stills_from_british_roads_only_the_torn_one_is_refused():
    found = {
        path.name: look(decode(path.read_bytes()).pixels).faults for path in STILLS.glob("*.jpg")
    }
    assert len(found) > 10
    bad = {name: faults for name, faults in found.items() if faults}
    assert bad == {"TfL-images_20200504_0240_00001.08859.jpg": ("torn",)}


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "vis-vehicle626").is_dir(), reason=f"no vis-vehicle626 in {DATA}")
def test_of_real_roads_few_bad_frames_pass_and_hardly_a_good_one_is_refused():
    told = tell(frames(DATA, 50))
    assert told["good"].pictures >= 20
    assert told["good"].named <= 1
    for name in DAMAGES:
        assert told[name].rightly >= 0.85 * told[name].pictures, name


def test_a_file_cut_short_is_no_picture_at_all():
    out = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(out, "JPEG")
    with pytest.raises(InvalidInput, match="damaged"):
        decode(out.getvalue()[:-600])
