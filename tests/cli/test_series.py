"""Anomalies and warnings from the shell: a file goes as it is, a state is kept in a file."""

import pytest

from tests.client.hub import SCORED


@pytest.fixture
def river(tmp_path):
    path = tmp_path / "river.csv"
    path.write_text("time,river\n2026-07-01T04:00:00,16\n")
    return path


def test_the_strange_are_shown(plaza, state, river, tmp_path):
    done = plaza(
        "infer", "anomalies", river, "--model", "level", "--steps", 1,
        "--csv", tmp_path / "out.csv", "--draw", tmp_path / "out.svg",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "0.91" in done.out
    assert "q0.05" not in done.out
    asked, drawn = state.seen[-2:]
    assert (asked.path, asked.body) == ("/v1/anomaly/score", river.read_bytes())
    assert asked.query == {"model": ["level"], "steps": ["1"]}
    assert (asked.headers["content-type"], asked.headers["accept"]) == ("text/csv", "text/csv")
    assert drawn.headers["accept"] == "image/svg+xml"
    assert (tmp_path / "out.csv").read_text() == SCORED
    assert (tmp_path / "out.svg").read_text() == "<svg/>"


def test_a_warning_keeps_its_state_in_a_file(plaza, state, river, tmp_path):
    kept = tmp_path / "river.state"
    ask = ["infer", "warn", river, "--model", "level", "--state", kept]
    assert "watch" in plaza(*ask, "--level", "watch=10", "--level", "flood=20").out
    assert "state" not in state.seen[-1].query
    (levels,) = state.seen[-1].query["levels"]
    assert levels.startswith('[{"name": "watch", "threshold": 10.0, "above": true}')
    assert kept.read_text() == '{"version":1}'
    plaza(*ask, "--horizon", 2)
    assert state.seen[-1].query["state"] == ['{"version":1}']
    assert state.seen[-1].query["horizon"] == ["2"]


def test_json_has_every_column(answer, river):
    found = answer("infer", "warn", river, "--model", "level")
    assert found["rows"][0]["q0.95"] == "19"
    assert found["state"] == '{"version":1}'


@pytest.mark.parametrize("said", ["watch", "watch=high", "=", "10"])
def test_what_is_no_level(plaza, river, said):
    done = plaza("infer", "warn", river, "--model", "level", "--level", said)
    assert done.code == 2
    assert "NAME=THRESHOLD" in done.err
