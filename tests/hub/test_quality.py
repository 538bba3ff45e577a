"""A model that a hub serves has the figures that it has in this process: what `make quality` rests
on, on made-up tests, through the real way."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from benchmarks.quality.asking import Asked
from benchmarks.quality.exam import Bar, Exam
from benchmarks.quality.figures import Figure
from benchmarks.quality.papers import PAPERS
from benchmarks.quality.results import Result
from benchmarks.quality.sitting import BUNDLES, Room, sit
from plaza_training.cli import open_runners
from plaza_training.forecast.measure import score_served
from plaza_training.forecast.recipes import LEVELS
from plaza_training.forecast.windows import Windows
from plaza_training.progress import Silent
from plaza_training.recipe import Job
from plaza_training.served import serve
from plaza_training.text.neighbours import embed
from plaza_training.text.scoring import score
from plaza_training.text.sets import Examples
from plaza_training.vision.judge import figures, judge
from plaza_training.vision.render import rendered_frame

pytestmark = [pytest.mark.hub, pytest.mark.torch]

FRAMES = [rendered_frame(7, number, (320, 240)) for number in range(6)]
TEXTS = Examples(
    ("My card was swallowed", "I lost my PIN", "the transfer is pending", "who are you? 🙂"),
    ("card_swallowed", "change_pin", "pending_transfer", "change_pin"),
)


def vehicles(served):
    return figures("made", judge(served, FRAMES), 0.4)


def labels(served):
    return score(served, TEXTS)


def speeds(served):
    steps = np.arange(320)[:, None]
    series = 50 + 10 * np.sin(2 * np.pi * (steps / 288 + np.linspace(0, 1, 3)))
    metrics, _ = score_served(
        served, Windows(series.astype(np.float32), 288, 12, first=288, last=320), LEVELS
    )
    return metrics


def vectors(served):
    return {f"v{n}": float(value) for n, value in enumerate(embed(served, TEXTS.texts).ravel())}


EXAMS = {
    "road-vehicles": vehicles,
    "banking-intents": labels,
    "traffic-speed-quantiles": speeds,
    "sentence-embedder": vectors,
}


@pytest.mark.parametrize("model", EXAMS)
def test_a_sitting_finds_what_this_process_finds(hub, model, monkeypatch):
    ask = EXAMS[model]
    served = serve(BUNDLES / model, open_runners("cpu"))
    try:
        expected = ask(served)
    finally:
        served.runner.close()
    asked = []

    def paper(seat):
        asked.append(seat.served)
        return {name: Figure(value) for name, value in ask(seat.served).items()}

    monkeypatch.setitem(PAPERS, "made", paper)
    bars = tuple(Bar(name, name) for name in expected)
    exam = Exam("made", "text", model, "made", "made up", "all", (), bars)
    room = Room(hub, hub.admin, known={model})
    job = Job(Path(), 1, Silent())
    result = sit(exam, Result("made", problem="never"), job, (BUNDLES / model, "ships"), room)
    assert isinstance(asked[0], Asked)
    assert (result.origin, result.problem, len(result.sha256)) == ("ships", "", 64)
    for name, figure in result.figures.items():
        assert figure.value == pytest.approx(expected[name], rel=1e-4, abs=1e-5, nan_ok=True)
