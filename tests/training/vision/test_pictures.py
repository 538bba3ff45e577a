"""What training sees: rendered roads, augmented crops and the sets they come from."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from plaza_training.data import SourceFile, sha256_of
from plaza_training.data.errors import DataChanged, DataMissing
from plaza_training.vision import sets
from plaza_training.vision.augment import Augmentation, draw_weights, training_picture
from plaza_training.vision.render import encode, render_road, rendered_frame
from plaza_training.vision.samples import Sample, decode_sample

RED = (255, 0, 0)


def marked(width=120, height=80, camera="one"):
    """Black with one red object whose box is known exactly."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[30:60, 50:90] = RED
    box = np.array([[50, 30, 90, 60]], np.float32)
    return Sample(camera, pixels, box, np.zeros(1, np.int64))


def test_rendered_roads_repeat_and_their_cars_are_inside():
    for index in range(20):
        scene = render_road(np.random.default_rng((1, index)), (200, 150))
        again = render_road(np.random.default_rng((1, index)), (200, 150))
        np.testing.assert_array_equal(np.asarray(scene.picture), np.asarray(again.picture))
        assert scene.picture.size == (200, 150)
        assert len(scene.boxes) >= 1
        assert (scene.boxes[:, :2] >= 0).all()
        assert (scene.boxes[:, 2:] <= (200, 150)).all()
        assert ((scene.boxes[:, 2:] - scene.boxes[:, :2]) >= 4).all()


def test_a_rendered_car_lies_where_its_box_says():
    """Pixels inside the boxes differ from the same road without its cars; a wrong box would not."""
    frame = rendered_frame(3, 0)
    sample = decode_sample(frame)
    for x1, y1, x2, y2 in sample.boxes.round().astype(int):
        inside = sample.pixels[y1:y2, x1:x2].reshape(-1, 3).astype(float)
        beside = sample.pixels[y1:y2, max(0, x1 - 6) : max(1, x1 - 2)].reshape(-1, 3).astype(float)
        assert inside.std(0).max() > 2 * beside.std(0).max()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([64, 96, 128]), st.sampled_from([0.0, 1.0]))
@example(3752, 64, 0.0)
def test_boxes_follow_the_object_through_every_augmentation(seed, size, mosaic):
    samples = [marked(), marked(80, 120)]
    how = Augmentation(mosaic=mosaic, colour=0.0)
    picture, boxes, labels = training_picture(
        samples, np.array([0.5, 0.5]), size, how, np.random.default_rng(seed)
    )
    assert picture.shape == (size, size, 3)
    assert len(boxes) == len(labels)
    assert (boxes >= 0).all()
    assert (boxes <= size).all()
    # Grey pictures are drawn now and then; there red is 76 of 255.
    red = (picture[..., 0] > 40) & (picture.max(2) != 114) & (picture.min(2) != 114)
    for x1, y1, x2, y2 in boxes:
        # The middle of the box, away from resampled edges.
        middle_x, middle_y, part_x, part_y = (
            (x1 + x2) / 2,
            (y1 + y2) / 2,
            (x2 - x1) / 4,
            (y2 - y1) / 4,
        )
        rows = slice(int(middle_y - part_y), int(middle_y + part_y) + 1)
        columns = slice(int(middle_x - part_x), int(middle_x + part_x) + 1)
        middle = red[rows, columns]
        assert (~middle).sum() <= max(middle.shape)  # one resampled line at a clipped edge


def test_the_same_seed_draws_the_same_picture():
    samples = [marked(), marked(80, 120)]
    weights = np.array([0.5, 0.5])
    one, two, other = (
        training_picture(samples, weights, 64, Augmentation(), np.random.default_rng(seed))[0]
        for seed in ((7, 1), (7, 1), (7, 2))
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_no_camera_dominates():
    samples = [*[marked(camera="busy")] * 16, *[marked(camera="rare")] * 4]
    weights = draw_weights(samples)
    assert weights.sum() == pytest.approx(1)
    assert weights[:16].sum() == pytest.approx(2 * weights[16:].sum())


def write_set(folder, split, frames):
    for kind in ("images", "labels"):
        (folder / split / kind).mkdir(parents=True, exist_ok=True)
    for stem, rows in frames.items():
        picture = Image.new("RGB", (1000, 500), RED)
        (folder / split / "images" / f"{stem}.jpg").write_bytes(encode(picture))
        (folder / split / "labels" / f"{stem}.txt").write_text(rows)


def test_yolo_rows_become_corners_and_other_classes_are_dropped(tmp_path):
    write_set(tmp_path, "train", {"a": "2 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.1 0.1\n", "b": "\n"})
    first, second = sets.read_yolo(tmp_path / "train", lambda stem: stem, {2: 0})
    np.testing.assert_allclose(first.boxes, [[0.4, 0.3, 0.6, 0.7]], rtol=1e-6)
    assert first.labels.tolist() == [0]
    assert second.boxes.shape == (0, 4)
    sample = decode_sample(first)
    assert sample.pixels.shape == (256, 512, 3)
    np.testing.assert_allclose(sample.boxes, [[204.8, 76.8, 307.2, 179.2]], rtol=1e-5)


@pytest.fixture
def small_sets(tmp_path):
    row = "0 0.5 0.5 0.2 0.2\n"
    vehicle, roadcam = tmp_path / "vis-vehicle626", tmp_path / "vis-roadcam4"
    write_set(vehicle, "train", {"10_mp4-1_jpg": row, "test2_mp4-3_jpg": row})
    write_set(vehicle, "valid", {"10_mp4-2_jpg": row, "2_mp4-9_jpg": row, "test_mp4-2_jpg": row})
    for split in ("train", "valid", "test"):
        write_set(roadcam, split, {f"A1_{split}": row.replace("0 ", "3 ", 1)})
    return tmp_path, registered(sets.VEHICLE626, vehicle), registered(sets.ROADCAM4, roadcam)


def registered(dataset, folder):
    """The set as it would be registered if these were its published files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    listed = (
        SourceFile(path.relative_to(folder).as_posix(), sha256_of(path), "") for path in files
    )
    return replace(dataset, files=tuple(listed))


def load(small_sets):
    root, vehicles, roads = small_sets
    return sets.load_road_data(root, vehicles=vehicles, roads=roads)


def test_held_out_videos_are_in_no_other_part(small_sets):
    data = load(small_sets)
    cameras = {
        part: {frame.camera for frame in getattr(data, part)}
        for part in ("train", "known", "unseen", "other")
    }
    assert cameras["train"] == {"vehicle626/10", "roadcam4/A"}
    assert cameras["known"] == {"vehicle626/10", "vehicle626/test"}
    assert cameras["unseen"] == {"vehicle626/test2", "vehicle626/2"}
    assert cameras["other"] == {"roadcam4/A"}
    assert not cameras["unseen"] & (cameras["train"] | cameras["known"])


def test_a_changed_missing_or_strange_picture_is_named(small_sets):
    root, vehicles, roads = small_sets
    write_set(root / "vis-roadcam4", "train", {"B1": ""})
    with pytest.raises(DataChanged, match=r"vis-roadcam4.*B1"):
        load(small_sets)
    (root / "vis-roadcam4/train/labels/A1_train.txt").write_text("3 0.5 0.5 0.3 0.2\n")
    with pytest.raises(DataChanged, match=r"vis-roadcam4/train/labels/A1_train"):
        load(small_sets)
    with pytest.raises(DataMissing, match="vis-vehicle626"):
        load((root / "elsewhere", vehicles, roads))


def test_the_sample_is_a_jpeg_of_the_size_asked_for():
    with Image.open(io.BytesIO(rendered_frame(1, 0, (640, 360)).image)) as file:
        assert (file.format, file.size) == ("JPEG", (640, 360))
