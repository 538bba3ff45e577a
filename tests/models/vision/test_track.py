"""Rendered traffic is counted exactly: through misses, trembling boxes, ghosts and lost frames."""

import numpy as np
import pytest

from plaza_models.vision import ground, state
from plaza_models.vision.count import Counts, inside
from plaza_models.vision.tasks import Line, Zone
from plaza_models.vision.track import Seen, Tracker, TrackOptions
from plaza_training.vision.traffic import make_traffic

EVERYWHERE = Zone("road", ((0, 0), (320, 0), (320, 241), (0, 241)))


def clear_line(traffic):
    """Across the road, where nobody stands in the first or the last frame: a car just on the line
    has not crossed it yet."""
    last = (round(traffic.seconds * traffic.fps) - 1) / traffic.fps
    feet = [car.y + car.speed * t for car in traffic.cars for t in (0, last)]
    y = next(y for y in range(110, 150) if all(abs(foot - y) > 6 for foot in feet))
    return y, Line("across", (0, y), (320, y))


def detected(rng, frame, *, tremble=0.0, missed=0.0, unsure=0.0, ghosts=0.0):
    """What a detector would make of a frame: some boxes off, unseen, doubted or made up."""
    boxes = frame.boxes + rng.normal(0, tremble, frame.boxes.shape)
    scores = np.where(rng.random(len(boxes)) < unsure, 0.3, 0.9)
    kept = rng.random(len(boxes)) >= missed
    boxes, scores = boxes[kept], scores[kept]
    if rng.random() < ghosts:
        x, y = rng.uniform(0, 280), rng.uniform(0, 200)
        boxes = np.concatenate((boxes, [[x, y, x + 30, y + 24]]))
        scores = np.append(scores, 0.6)
    return Seen(boxes.astype(np.float32), scores.astype(np.float32), ("car",) * len(boxes))


def count(traffic, rng, *, lost=(), **faults):
    _, line = clear_line(traffic)
    tracker, counts, numbers = Tracker(TrackOptions()), Counts([line], [EVERYWHERE]), {}
    for index, frame in enumerate(traffic.frames()):
        if index in lost:
            tracker.skip(frame.seconds)
            continue
        seen = detected(rng, frame, **faults)
        pairs = tracker.update(frame.seconds, seen)
        counts.frame([(track, tracker.confirmed(track)) for track, _ in pairs], 1 / traffic.fps)
        for track, at in pairs:
            if not (faults or lost):
                numbers.setdefault(frame.ids[at], set()).add(track.id)
    return counts, numbers, tracker


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fps", [5.0, 12.5, 25.0])
def test_what_is_seen_clearly_is_counted_exactly(seed, fps):
    traffic = make_traffic(np.random.default_rng(seed), fps=fps)
    counts, numbers, _ = count(traffic, np.random.default_rng(0))
    (crossed,) = counts.crossings()
    assert (crossed.forward, crossed.backward) == traffic.crossings(clear_line(traffic)[0])
    assert crossed.forward > 3
    assert crossed.backward > 3
    assert all(len(tracks) == 1 for tracks in numbers.values()), "a car changed its number"


@pytest.mark.parametrize("seed", range(6))
def test_a_poor_detector_is_made_up_for(seed):
    traffic = make_traffic(np.random.default_rng(seed), fps=12.5)
    rng = np.random.default_rng(seed + 100)
    counts, _, _ = count(traffic, rng, tremble=1.5, missed=0.1, unsure=0.2, ghosts=0.3)
    (crossed,) = counts.crossings()
    forward, backward = traffic.crossings(clear_line(traffic)[0])
    assert abs(crossed.forward - forward) + abs(crossed.backward - backward) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_frames_that_show_nothing_do_not_break_tracks(seed):
    traffic = make_traffic(np.random.default_rng(seed), fps=12.5)
    frames = round(traffic.seconds * traffic.fps)
    lost = {index for index in range(10, frames, 9) for index in (index, index + 1)}
    counts, _, _ = count(traffic, np.random.default_rng(0), lost=lost)
    (crossed,) = counts.crossings()
    assert (crossed.forward, crossed.backward) == traffic.crossings(clear_line(traffic)[0])


@pytest.mark.parametrize("cut", [1, 17, 40])
def test_a_sequence_in_two_requests_counts_as_one(cut):
    traffic = make_traffic(np.random.default_rng(5), fps=12.5)
    frames = list(traffic.frames())
    tracker, total = Tracker(TrackOptions()), [0, 0]
    for part in (frames[:cut], frames[cut:]):
        counts = Counts([clear_line(traffic)[1]], [])
        for index, frame in enumerate(part):
            seen = detected(np.random.default_rng(0), frame)
            pairs = tracker.update(index / traffic.fps, seen)
            counts.frame([(t, tracker.confirmed(t)) for t, _ in pairs], 1 / traffic.fps)
        (crossed,) = counts.crossings()
        total = [total[0] + crossed.forward, total[1] + crossed.backward]
        text = state.write(tracker, len(part) / traffic.fps)
        tracker = Tracker(TrackOptions())
        state.read(text, tracker)
    assert tuple(total) == traffic.crossings(clear_line(traffic)[0])


def test_who_trembles_on_the_line_crosses_it_once():
    tracker, counts = Tracker(TrackOptions()), Counts([Line("across", (0, 120), (320, 120))], [])
    rng = np.random.default_rng(3)
    for index in range(60):
        low = 120 + rng.uniform(-1.8, 1.8) + (30 if index > 50 else -30 if index < 10 else 0)
        box = np.array([[100, low - 40, 140, low]], np.float32)
        pairs = tracker.update(index / 10, Seen(box, np.array([0.9], np.float32), ("car",)))
        counts.frame([(t, tracker.confirmed(t)) for t, _ in pairs], 0.1)
    (crossed,) = counts.crossings()
    assert (crossed.forward, crossed.backward) == (1, 0)


def test_who_passes_beside_the_line_is_not_counted():
    tracker, counts = Tracker(TrackOptions()), Counts([Line("left", (0, 120), (80, 120))], [])
    for index in range(30):
        low = 60 + 4 * index
        box = np.array([[100, low - 40, 140, low]], np.float32)
        pairs = tracker.update(index / 10, Seen(box, np.array([0.9], np.float32), ("car",)))
        counts.frame([(t, tracker.confirmed(t)) for t, _ in pairs], 0.1)
    (crossed,) = counts.crossings()
    assert (crossed.label, crossed.forward, crossed.backward) == ("", 0, 0)


def test_a_zone_knows_how_many_and_for_how_long():
    traffic = make_traffic(np.random.default_rng(1), fps=10)
    counts, numbers, _ = count(traffic, np.random.default_rng(0))
    (stay,) = counts.stays()
    seen = [frame for frame in traffic.frames() if frame.ids]
    often = [i for i in numbers if sum(i in frame.ids for frame in seen) >= 2]
    assert stay.objects == len(often)
    # The first frame of each is not counted: one sight is no object yet.
    expected = sum(len(frame.ids) for frame in seen) - len(numbers)
    assert stay.seconds == pytest.approx(expected / 10)
    assert 0 < stay.most <= max(len(frame.ids) for frame in seen)


def test_a_flickering_label_is_settled_by_scores():
    tracker = Tracker(TrackOptions())
    for index, (label, score) in enumerate([("truck", 0.6), ("car", 0.9), ("car", 0.8)]):
        box = np.array([[10, 10, 50, 40]], np.float32)
        tracker.update(index / 10, Seen(box, np.array([score], np.float32), (label,)))
    (track,) = tracker.tracks
    assert track.label == "car"


def test_speeds_are_those_that_were_driven():
    traffic = make_traffic(np.random.default_rng(2), fps=12.5)
    scale = ground.plane(0.1, ())
    for car in traffic.cars[:4]:
        times = [index / 12.5 for index in range(20)]
        feet = np.array([((b := car.box(t))[0] + car.width / 2, b[3]) for t in times])
        assert ground.speed_kmh(scale, times, feet) == pytest.approx(
            abs(car.speed) * 0.1 * 3.6, abs=0.01
        )


def test_four_points_of_the_road_fix_its_plane():
    # A camera that looks along the road: two lanes of 3.5 m, 20 m and 60 m away.
    points = [(100, 200, 0, 0), (220, 200, 7, 0), (140, 100, 0, 40), (180, 100, 7, 40)]
    plane = ground.plane(None, points)
    found = ground.metres(plane, np.array([p[:2] for p in points], float))
    np.testing.assert_allclose(found, [p[2:] for p in points], atol=1e-6)
    middle = ground.metres(plane, np.array([[160.0, 150.0]]))[0]
    assert middle[0] == pytest.approx(3.5)
    assert 0 < middle[1] < 20


def test_inside_is_what_lies_inside():
    corner = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 10.0), (5.0, 5.0), (0.0, 5.0))
    assert inside((2, 2), corner)
    assert inside((7, 7), corner)
    assert not inside((2, 7), corner)
    assert not inside((11, 2), corner)
