"""Calling models from the shell: files become tensors, pictures, series; answers become tables."""

import json
import re

import numpy as np
import pytest
from PIL import Image


class TestTensor:
    def test_npy_goes_as_it_is(self, answer, tmp_path, state):
        np.save(tmp_path / "x.npy", np.array([[1, 2]], np.int16))
        found = answer("infer", "tensor", "cars", "--input", f"x=@{tmp_path}/x.npy")
        assert found["outputs"]["echo_x"] == [[1, 2]]
        assert [seen.method for seen in state.seen] == ["POST"]

    @pytest.mark.parametrize("form", ["file", "literal"])
    def test_json_takes_the_models_datatype(self, plaza, tmp_path, form):
        (tmp_path / "x.json").write_text("[[1, 2]]")
        text = f"@{tmp_path}/x.json" if form == "file" else "[[1, 2]]"
        shown = plaza("infer", "tensor", "cars", "--input", f"x={text}").out
        assert "float32" in shown
        assert "1×2" in shown

    def test_texts(self, answer):
        found = answer("infer", "tensor", "cars", "--input", 't=["ü", "b"]')
        assert found["outputs"]["echo_t"] == ["ü", "b"]

    def test_version_and_outputs(self, plaza, state):
        given = ["--input", "x=[[1, 2]]", "--version", "2", "--output", "echo_x"]
        plaza("infer", "tensor", "cars", *given)
        assert state.seen[-1].path == "/v2/models/cars/versions/2/infer"
        assert b'"outputs":[{"name":"echo_x"' in state.seen[-1].body

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("x", "name="),
            ("x=@absent.npy", "absent.npy"),
            ("x=[1,", "neither JSON"),
            ("z=[1]", "no input 'z'"),
            ('x=["a"]', "FP32"),
            ("x=[[1], [1, 2]]", "FP32"),
        ],
    )
    def test_what_is_no_input(self, plaza, given, said):
        done = plaza("infer", "tensor", "cars", "--input", given)
        assert done.code == 2
        assert said in done.err

    def test_a_pickle_in_a_npy_file_is_not_opened(self, plaza, tmp_path):
        np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
        done = plaza("infer", "tensor", "cars", "--input", f"x=@{tmp_path}/x.npy")
        assert done.code == 2


class TestDetect:
    @pytest.fixture
    def picture(self, tmp_path):
        Image.new("RGB", (64, 48), "grey").save(tmp_path / "road.png")
        return tmp_path / "road.png"

    def test_the_only_detector_is_taken(self, plaza, state, picture):
        shown = plaza("infer", "detect", picture, "--threshold", 0.5).out
        assert "car" in shown
        assert "0.900" in shown
        assert "acme.main.cars version 2, 0.0 ms in the hub" in shown
        (seen,) = state.seen
        assert seen.query == {"threshold": ["0.5"]}
        assert seen.body == picture.read_bytes()

    @pytest.mark.parametrize("name", ["boxes.png", "boxes.jpg"])
    def test_boxes_are_drawn(self, plaza, picture, tmp_path, name):
        done = plaza("infer", "detect", picture, "--model", "cars", "--draw", tmp_path / name)
        assert done.code == 0
        with Image.open(tmp_path / name) as drawn:
            assert drawn.size == (64, 48)
            assert len(set(drawn.convert("RGB").get_flattened_data())) > 1

    def test_no_file(self, plaza):
        assert plaza("infer", "detect", "absent.jpg").code == 2


class TestQuality:
    @pytest.fixture
    def pictures(self, tmp_path):
        for name in ("day.png", "night.png"):
            Image.new("RGB", (64, 48), "grey").save(tmp_path / name)
        return tmp_path / "day.png", tmp_path / "night.png"

    def test_faults_are_listed_with_their_reasons(self, plaza, state, pictures):
        shown = plaza("infer", "quality", *pictures).out
        assert re.search(r"day\.png +none *$", shown, re.MULTILINE)
        assert re.search(r"night\.png +black +bright 9 *$", shown, re.MULTILINE)
        assert "eyes version 3" in shown
        assert len(state.seen[-1].json["images"]) == 2

    @pytest.mark.parametrize(("many", "size"), [(1, (64, 48)), (2, (640, 240))])
    def test_they_are_drawn(self, plaza, pictures, tmp_path, many, size):
        out = tmp_path / "drawn.png"
        assert plaza("infer", "quality", *pictures[:many], "--draw", out).code == 0
        with Image.open(out) as drawn:
            assert drawn.size == size


class TestFiles:
    """What cannot be read or written is named in one line."""

    @pytest.fixture
    def table(self, tmp_path):
        (tmp_path / "load.csv").write_text("load\n1\n")
        return tmp_path / "load.csv"

    @pytest.mark.parametrize(("option", "name"), [("--csv", "t.csv"), ("--draw", "t.svg")])
    def test_where_nothing_can_be_written(self, plaza, table, tmp_path, option, name):
        path = tmp_path / "absent" / name
        done = plaza("infer", "warn", table, "--model", "load", option, path)
        assert (done.code, done.err.strip()) == (2, f"{path}: No such file or directory")

    def test_a_state_that_is_no_text(self, plaza, state, table, tmp_path):
        (tmp_path / "state").write_bytes(b"\xff\xfe")
        done = plaza("infer", "warn", table, "--model", "load", "--state", tmp_path / "state")
        assert (done.code, done.err.split(":")[0], state.seen) == (1, "invalid_input", [])

    @pytest.mark.parametrize("task", ["detect", "quality"])
    def test_a_drawing_of_a_kind_that_is_not_drawn(self, plaza, state, table, task):
        done = plaza("infer", task, table, "--model", "cars", "--draw", "boxes.gif")
        assert (done.code, ".png or .jpg" in done.err, state.seen) == (2, True, [])


class TestTexts:
    def test_classify(self, plaza, state):
        shown = plaza("infer", "classify", "one", "two words", "--model", "topics", "--top", 2).out
        assert "two words" in shown
        assert "l1" in shown
        assert state.seen[-1].json == {"model": "topics", "input": ["one", "two words"], "top_k": 2}

    def test_embed(self, answer, plaza):
        found = answer("infer", "embed", "a", "bcd", "--model", "words")
        assert found["vectors"] == [[1.0, 1.0], [1.0, 3.0]]
        assert "4.000" in plaza("infer", "embed", "a", "bcd", "--model", "words").out

    def test_the_only_classifier_is_taken(self, answer, state):
        assert answer("infer", "classify", "text")["model"] == "topics"
        state.models["tones"] = "text.classify"
        assert answer("infer", "embed", "text")["model"] == "words"

    @pytest.mark.parametrize(
        ("models", "said"),
        [({}, "there is none"), ({"b": 0, "a": 0}, "there are several: a, b")],
    )
    def test_none_and_several_are_told_with_what_to_do(self, plaza, state, models, said):
        state.models = dict.fromkeys(models, "text.classify")
        done = plaza("infer", "classify", "text")
        assert done.code == 1
        told = f"invalid_input: name a model of family 'text.classify'; {said} [--model]"
        assert done.err.strip() == f"{told} (request req-1)"
        refused = json.loads(plaza("--json", "infer", "classify", "text").err)["error"]
        assert (refused["code"], refused["input"]) == ("invalid_input", "--model")

    @pytest.mark.parametrize("task", ["detect", "quality", "forecast", "anomalies", "warn"])
    def test_every_task_tells_it(self, plaza, state, tmp_path, task):
        (tmp_path / "given").write_text("load\n1\n")
        state.models = {}
        done = plaza("infer", task, tmp_path / "given")
        assert (done.code, "[--model]" in done.err) == (1, True)


def test_json_is_json_whatever_the_width(plaza, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    done = plaza("--json", "infer", "classify", "a long text " * 10, "--model", "topics")
    assert json.loads(done.out)["model"] == "topics"
