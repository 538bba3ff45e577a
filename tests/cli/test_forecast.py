"""Forecasts from the shell: a column goes as values, a table and JSON as the endpoint has them."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from plaza_core.manifest import manifest_from
from plaza_core.settings import Settings
from plaza_core.yaml_text import load_mapping
from plaza_models.forecast.quantile import open_family
from plaza_serving.doors.http import HttpDoor
from tests.client.hub import AHEAD
from tests.client.sockets import serving
from tests.serving.doors.small_hub import SmallHub

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
TABLE = "time,warmth,river\n2026-07-01T04:00,3,16\n2026-07-01T05:00,4,\n"


@pytest.fixture
def series(tmp_path):
    def write(text, name="load.csv"):
        path = tmp_path / name
        path.write_text(text, newline="")
        return path

    return write


# ── one column ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("text", ["1\n2\n3.5\n", "load\n1\n2\n3.5\n", "7,1\n8,2\n9,3.5\n"])
def test_a_column_of_numbers(plaza, state, series, text):
    done = plaza("infer", "forecast", series(text), "--model", "load", "--horizon", 2)
    assert done.code == 0
    assert state.seen[-1].json["values"] == [1, 2, 3.5]
    assert "3.6" in done.out


def test_a_column_by_name_and_quantiles(answer, state, series):
    path = series("load,other\n1,9\n2,9\n")
    found = answer(
        "infer", "forecast", path, "--column", "load", "--model", "load", "--quantile", 0.5
    )
    assert state.seen[-1].json["values"] == [1, 2]
    assert found["quantiles"] == [0.5]
    assert len(found["values"][0]) == 12


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("", [], "no rows"),
        ("load\n", [], "no rows"),
        ("load\n1\nmany\n", [], "row 3: 'many' is no number"),
        ("1\nmany\n", [], "row 2: 'many' is no number"),
        ("load\n1\ninf\n", [], "row 3: 'inf' is no number"),
        ("load\nNaN\n", [], "row 2: 'NaN' is no number"),
        ("load\n1\n", ["--column", "price"], "no column 'price'; it has load"),
        ("a,b\n1,2\n", ["--column", "a", "--known", "c"], "no column 'c'; it has a, b"),
        ("when,load\n1,2\n3\n", [], "row 3 has 1 cells, the first 2"),
        ("when;load\n1;60,5\n", [], "row 2: '60,5' is no number"),
        ("day,load\nMonday,1\n", [], "row 2: 'Monday' is no number"),
        ("größe\n1\n", [], "no CSV in UTF-8"),
    ],
)
def test_what_is_no_series(plaza, state, tmp_path, text, more, said):
    path = tmp_path / "load.csv"
    path.write_bytes(text.encode("latin-1"))
    done = plaza("infer", "forecast", path, "--model", "load", *more)
    assert done.code == 1
    assert done.err.strip() == f"invalid_input: {said} [{path}]"
    assert state.seen == []


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("load\n1\n\n3\n", []),
        ("when;load\n1;1\n2;\n3;3\n\n\n", ["--column", "load"]),
        ("1\n\n3", []),
    ],
)
def test_an_empty_cell_is_what_was_not_measured(plaza, state, series, text, more):
    assert plaza("infer", "forecast", series(text), "--model", "load", *more).code == 0
    assert state.seen[-1].json["values"] == [1, None, 3]


# ── a table ──────────────────────────────────────────────────────────────────────────────────────
def test_a_table_goes_whole_and_its_quantiles_are_shown(plaza, state, series, tmp_path):
    out, drawn = tmp_path / "out.csv", tmp_path / "out.svg"
    done = plaza(
        "infer", "forecast", series(TABLE), "--model", "load", "--csv", out, "--draw", drawn,
        "--quantile", 0.05, "--quantile", 0.5, "--horizon", 1,
    )  # fmt: skip
    assert done.code == 0, done.err
    header = done.out.splitlines()[0].split()
    assert header == ["series", "time", "step", "q0.05", "q0.5", "q0.95", "mean"], "and the outer"
    asked, picture = state.seen[-2:]
    assert asked.body.decode() == TABLE
    assert asked.query == {"model": ["load"], "horizon": ["1"], "quantiles": ["[0.05, 0.5]"]}
    assert picture.headers["accept"] == "image/svg+xml"
    assert (out.read_text(), drawn.read_text()) == (AHEAD, "<svg/>")


def test_how_far_a_table_goes_is_left_to_the_hub(answer, state, series):
    found = answer("infer", "forecast", series(TABLE), "--model", "load")
    assert state.seen[-1].query == {"model": ["load"]}
    assert found["rows"][0]["q0.25"] == "14"


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ([], "time,warmth,river,snow\n2026-07-01,3,16,0\n"),
        (["--column", "river", "--column", "snow"], "time,river,snow\n2026-07-01,16,0\n"),
        (["--column", "river", "--known", "warmth"], "time,warmth,river\n2026-07-01,3,16\n"),
    ],
)
@pytest.mark.parametrize("name", ["time", "date"])
def test_series_are_chosen_and_times_found(plaza, state, series, more, sent, name):
    path = series(f"{name};warmth;river;snow\n\n2026-07-01;3;16;0\n")
    done = plaza("infer", "forecast", path, "--model", "load", *more)
    assert done.code == 0, done.err
    assert state.seen[-1].body.decode() == sent


def test_a_column_alone_is_drawn_too(plaza, state, series, tmp_path):
    ask = ["infer", "forecast", series("1\n2\n"), "--model", "load"]
    assert plaza(*ask, "--draw", tmp_path / "out.svg").code == 0
    assert state.seen[-1].body.decode() == "value\n1\n2\n"
    assert state.seen[-1].query["horizon"] == ["12"]


def test_covariates_without_a_choice_of_series(plaza, series):
    done = plaza("infer", "forecast", series(TABLE), "--model", "load", "--known", "warmth")
    assert (done.code, "known by their names" in done.err) == (2, True)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────
def test_json_goes_as_the_endpoint_has_it(plaza, state, series):
    asked = {"model": "load", "series": [[None, 1], [5, 6]], "known": [[0, 1, 2]], "horizon": 1}
    done = plaza("infer", "forecast", series(json.dumps(asked), "asked.json"))
    assert done.code == 0, done.err
    assert state.seen[-1].json == asked
    assert done.out.split()[:2] == ["series", "step"]
    assert "load version 1" in done.out


def test_options_go_before_what_a_file_says(answer, state, series):
    asked = {"model": "other", "version": 3, "values": [1, 2], "horizon": 1, "quantiles": [0.1]}
    path = series(json.dumps(asked), "asked.json")
    answer(
        "infer", "forecast", path, "--model", "load", "--horizon", 2, "--quantile", 0.9,
        "--version", "champion",
    )  # fmt: skip
    wanted = {"model": "load", "version": "champion", "horizon": 2, "quantiles": [0.9]}
    assert state.seen[-1].json == asked | wanted


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("[1, 2", "malformed_request", None),
        ("[1, 2]", "invalid_input", None),
        ('{"horizon": 1}', "invalid_input", "values"),
        ('{"values": [1], "series": [[1]]}', "invalid_input", "values"),
        ('{"values": [1, "2"]}', "invalid_input", "values[1]"),
        ('{"series": [[1], []]}', "invalid_input", "series[1]"),
        ('{"values": [1], "known": [1]}', "invalid_input", "known[0]"),
        ('{"values": [1], "covariates": [[1]]}', "invalid_input", "covariates"),
    ],
)
def test_what_is_no_request_names_its_field(plaza, state, series, text, code, field):
    path = series(text, "asked.json")
    done = plaza("--json", "infer", "forecast", path, "--model", "load")
    refused = json.loads(done.err)["error"]
    assert (done.code, refused["code"], refused["input"]) == (1, code, field or str(path))
    assert state.seen == []


def test_what_is_for_tables_is_refused_with_json(plaza, series):
    done = plaza("infer", "forecast", series("{}", "asked.json"), "--column", "a")
    assert (done.code, "are for tables" in done.err) == (2, True)


# ── the models that ship ─────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def door():
    """The real door in front of the shipped forecasters that want covariates or many series."""
    hub = SmallHub()
    for name in ("iso-ne-forecaster", "flusight-forecaster", "wet-bulb-forecaster"):
        hub.add(name, *shipped(BUNDLES / name))
    with serving(HttpDoor(hub, Settings())) as address:
        yield address


def shipped(bundle):
    said = load_mapping((bundle / "plaza.yaml").read_bytes(), name="plaza.yaml")
    family = open_family(bundle, manifest_from(said))
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    names = [one.name for one in session.get_outputs()]

    def work(task):
        prepared = family.prepare(task)
        outputs = dict(zip(names, session.run(None, dict(prepared.tensors)), strict=True))
        return family.interpret(outputs, prepared.context)

    return {name: said[name] for name in ("family", "options", "signature")}, work


@pytest.fixture
def shell(run, elsewhere, door):
    return lambda *more: run("--url", door, "--key", "consumer", "--json", "infer", *more)


def rows_of(covariates, series, past, ahead):
    """CSV with these columns over `past` and `ahead` hours; values are there for the past."""
    lines = [",".join([*covariates, *series])]
    for at in range(past + ahead):
        values = [f"{100 + at % 24}" if at < past else ""] * len(series)
        lines.append(",".join([*([f"{at % 24}"] * len(covariates)), *values]))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("model", "covariates", "series_count", "past", "ahead"),
    [
        ("iso-ne-forecaster",
         ["temperature", "weekday", "holiday", "day of the year", "summer time"], 1, 672, 24),
        ("flusight-forecaster", ["weeks from Christmas"], 53, 8, 4),
        ("wet-bulb-forecaster", ["hour", "day of the year"], 1, 168, 48),
    ],
)  # fmt: skip
def test_a_shipped_forecaster_with_covariates(
    shell, series, model, covariates, series_count, past, ahead
):
    names = [f"s{at}" for at in range(series_count)]
    path = series(rows_of(covariates, names, past, ahead))
    done = shell("forecast", path, "--model", model)
    assert done.code == 0, done.err
    table = json.loads(done.out)["rows"]
    assert len(table) == series_count * ahead
    asked = {
        "series": [[100 + at % 24 for at in range(past)]] * series_count,
        "known": [[at % 24 for at in range(past + ahead)]] * len(covariates),
        "horizon": ahead,
    }
    same = shell("forecast", series(json.dumps(asked), "asked.json"), "--model", model)
    values = np.array(json.loads(same.out)["values"])
    medians = [float(row["q0.5"]) for row in table]
    middle = json.loads(same.out)["quantiles"].index(0.5)
    np.testing.assert_allclose(values[:, middle].ravel(), medians, rtol=1e-6)


def test_a_covariate_that_is_missing_is_named(shell, series):
    path = series(rows_of(["hour"], ["station"], 168, 48))
    done = shell("forecast", path, "--model", "wet-bulb-forecaster")
    refused = json.loads(done.err)["error"]
    assert (done.code, refused["code"]) == (1, "invalid_input")
    assert refused["message"] == "the table has no column 'day of the year'"
