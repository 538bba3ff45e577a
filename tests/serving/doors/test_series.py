"""Series in JSON or tables in CSV; anomalies and warnings in JSON, CSV and SVG."""

import csv
import io
import json
import math

import numpy as np
import pytest

from plaza_core.testing import FakeClock
from plaza_models.forecast.tasks import AnomalyTask, LevelWanted, WarningTask
from plaza_models.tasks import ForecastTask
from plaza_serving.doors import series_body
from tests.models.forecast import small

LEVELS = [
    {"name": "watch", "threshold": 10},
    {"name": "flood", "threshold": 20, "enter": 0.6, "leave": 0.1},
]
SCORE = {"model": "forecaster", "values": [5, 5, 5, 5, 5, 50]}
WARN = {"model": "forecaster", "values": [12, 12, 12, 12], "levels": LEVELS}
TABLE = "time,river\n" + "".join(f"2026-07-01T0{hour}:00:00,{12 + hour}\n" for hour in range(5))
QUERY = "model=forecaster&levels=" + json.dumps(LEVELS)


def rows(answer):
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.body.decode())))


@pytest.fixture
def table(client):
    async def send(path, text, query="model=forecaster", accept="text/csv"):
        headers = {"content-type": "text/csv", "accept": accept}
        return await client.post(path, text.encode(), headers=headers, query=query)

    return send


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────
async def test_how_strange_values_were(client, hub):
    answer = (await client.post("/v1/anomaly/score", SCORE)).json()
    assert (answer["first"], answer["quantiles"]) == (4, small.LEVELS)
    assert answer["scores"][0] == pytest.approx(0)
    assert answer["scores"][1] > 0.99
    assert answer["values"][2] == [5, 5]
    assert hub.calls[0].task == AnomalyTask(((5.0, 5.0, 5.0, 5.0, 5.0, 50.0),))
    assert hub.calls[0].family == "forecast.quantile"
    body = {**SCORE, "steps": 2, "every": 2}
    assert (await client.post("/v1/anomaly/score", body)).json()["first"] == 4


async def test_several_series_have_an_answer_each(client):
    body = {"model": "forecaster", "series": [[1] * 5, [2] * 5]}
    assert len((await client.post("/v1/anomaly/score", body)).json()["series"]) == 2
    body["levels"] = [{"name": "a", "threshold": [0, 9]}]
    answer = (await client.post("/v1/warning/level", body)).json()
    assert [one["level"] for one in answer["series"]] == ["a", None]


async def test_what_to_warn_of(client, hub):
    at = "2026-07-01T12:00:00Z"
    answer = (await client.post("/v1/warning/level", {**WARN, "at": at})).json()
    assert (answer["level"], answer["since"], answer["at"]) == ("watch", at, at)
    watch, flood = answer["levels"]
    assert watch["chances"] == [pytest.approx(0.75 + 0.2 / 3)] * 3
    assert (flood["raised"], flood["enter"], flood["leave"]) == (False, 0.6, 0.1)
    later = {**WARN, "at": "2026-07-01T13:00:00Z", "state": answer["state"], "horizon": 1}
    again = (await client.post("/v1/warning/level", later)).json()
    assert (again["since"], len(again["levels"][0]["chances"])) == (at, 1)
    assert hub.calls[0].task == WarningTask(
        ((12.0,) * 4,),
        at,
        levels=(LevelWanted("watch", (10.0,)), LevelWanted("flood", (20.0,), True, 0.6, 0.1)),
    )


async def test_without_a_time_it_is_now(client, hub):
    hub.clock = FakeClock()
    answer = (await client.post("/v1/warning/level", WARN)).json()
    assert answer["at"].startswith("20")
    assert answer["at"].endswith("Z")


@pytest.mark.parametrize("path", ["/v1/anomaly/score", "/v1/warning/level", "/v1/forecast"])
async def test_a_drawing(client, path):
    body = {"model": "forecaster", "values": [1, 2, 3, 4, 5]}
    body |= {"levels": LEVELS} if "warning" in path else {}
    body |= {"horizon": 2} if "forecast" in path else {}
    answer = await client.post(path, body, headers={"accept": "image/svg+xml"})
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["x-plaza-charge"] == "14"
    assert answer.body.startswith(b"<svg") or "forecast" in path


async def test_a_drawing_is_of_one_series(client, hub):
    svg = {"accept": "image/svg+xml"}
    body = {"model": "forecaster", "series": [[1, 2]], "horizon": 1}
    answer = await client.post("/v1/forecast", body, headers=svg)
    assert answer.problem() == (422, "invalid_input", "series")
    body = {"model": "forecaster", "series": [[1] * 5, [2] * 5], "draw": 1}
    assert (await client.post("/v1/anomaly/score", body, headers=svg)).status == 200
    assert hub.calls[-1].task.draw == 1


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("/v1/anomaly/score", {"steps": 0}, "steps"),
        ("/v1/anomaly/score", {"steps": 3}, "steps"),
        ("/v1/anomaly/score", {"every": 9}, "every"),
        ("/v1/anomaly/score", {"horizon": 1}, "horizon"),
        ("/v1/anomaly/score", {"draw": -1}, "draw"),
        ("/v1/warning/level", {"levels": []}, "levels"),
        ("/v1/warning/level", {"levels": "["}, "levels"),
        ("/v1/warning/level", {"levels": [5]}, "levels"),
        ("/v1/warning/level", {"levels": [{"name": "a"}]}, "levels"),
        ("/v1/warning/level", {"levels": [{"name": "a", "threshold": "5"}]}, "levels"),
        ("/v1/warning/level", {"levels": [{"name": "a", "threshold": []}]}, "levels"),
        ("/v1/warning/level", {"levels": [{"name": "a", "threshold": 5, "till": 6}]}, "levels"),
        ("/v1/warning/level", {"levels": [{**LEVELS[0], "enter": 2}]}, "levels"),
        ("/v1/warning/level", {"levels": LEVELS[::-1]}, "levels"),
        ("/v1/warning/level", {"levels": None}, "levels"),
        ("/v1/warning/level", {"at": "noon"}, "at"),
        ("/v1/warning/level", {"state": "x"}, "state"),
        ("/v1/warning/level", {"state": {}}, "state"),
    ],
)
async def test_a_wrong_field_is_named(client, path, change, field):
    body = WARN if "warning" in path else SCORE
    status, code, named = (await client.post(path, {**body, **change})).problem()
    assert named == field
    assert (status, code) in {(422, "invalid_input"), (400, "malformed_request")}


# ── tables ───────────────────────────────────────────────────────────────────────────────────────
async def test_a_table_is_scored_row_by_row(table, hub):
    (row,) = rows(await table("/v1/anomaly/score", TABLE))
    assert (row["time"], row["value"]) == ("2026-07-01T04:00:00", "16")
    assert float(row["q0.5"]) == 15
    assert 0.4 < float(row["score"]) < 0.6
    assert hub.calls[0].task.series == ((12.0, 13.0, 14.0, 15.0, 16.0),)


async def test_a_table_of_warnings_goes_on_in_time_and_hands_the_state_on(table, hub):
    answer = await table("/v1/warning/level", TABLE, QUERY)
    found = rows(answer)
    assert [row["time"] for row in found] == [f"2026-07-01T0{hour}:00:00" for hour in (5, 6, 7)]
    assert {(row["level"], row["since"]) for row in found} == {("watch", "2026-07-01T04:00:00Z")}
    assert set(found[0]) == {
        "time", "step", "level", "since", "chance watch", "chance flood",
        *(f"q{level:g}" for level in small.LEVELS),
    }  # fmt: skip
    state = answer.headers["x-plaza-state"]
    assert json.loads(state)["raised"] == [{"watch": "2026-07-01T04:00:00Z"}]
    await table("/v1/warning/level", TABLE, f"{QUERY}&at=2026-07-02T00:00&state={state}")
    assert hub.calls[-1].task.state == state


async def test_a_name_that_no_header_can_say_is_escaped(table):
    levels = json.dumps([{"name": "Überflutung", "threshold": 10}])
    answer = await table("/v1/warning/level", TABLE, f"model=forecaster&levels={levels}")
    state = answer.headers["x-plaza-state"]
    assert state.isascii()
    assert "Überflutung" in json.loads(state)["raised"][0]


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n\n"])
async def test_an_empty_line_of_a_single_column_is_what_was_not_measured(table, hub, end):
    await table("/v1/forecast", f"level\n12\n\n14\n15{end}", "model=forecaster&horizon=1")
    np.testing.assert_equal(hub.calls[-1].task.values, (12.0, math.nan, 14.0, 15.0))
    await table("/v1/forecast", f"time,level\n1,12\n\n2,14{end}", "model=forecaster&horizon=1")
    assert hub.calls[-1].task.values == (12.0, 14.0)


async def test_a_threshold_that_is_no_number_is_named_so(client):
    levels = [{"name": "a", "threshold": "5"}]
    answer = await client.post("/v1/warning/level", {**WARN, "levels": levels})
    assert answer.json()["error"] == "threshold: threshold must be a number"


async def test_what_is_known_beside_and_ahead(table, hub):
    signature = {
        "inputs": [small.tensor("x", 4), small.tensor("k", 1, 7)],
        "outputs": [small.tensor("y", 5, 3)],
    }
    options = {"known": ["warmth"], "context": 3, "horizon": 3}
    hub.add(
        "river",
        {"family": "forecast.quantile", "signature": signature, "options": options},
        lambda task: small.ask(small.family(), ForecastTask((5.0,) * 4, task.horizon)),
    )
    text = "warmth;river\n1;5\n2;6\n3;\n4;8\n5;\n6;\n"
    await table("/v1/forecast", text, "model=river")
    task = hub.calls[-1].task
    assert task.horizon == 2, "as far as the table goes"
    assert task.known == ((2.0, 3.0, 4.0, 5.0, 6.0),), "over the context and the steps ahead"
    assert math.isnan(task.values[2])
    await table("/v1/forecast", text, "model=river&horizon=1")
    assert hub.calls[-1].task.horizon == 1
    answer = await table("/v1/forecast", "river\n5\n", "model=river")
    assert answer.problem() == (422, "invalid_input", "body")


async def test_lists_in_the_query_are_json(table, hub):
    answer = await table("/v1/forecast", TABLE, "model=forecaster&horizon=2&quantiles=[0.25,0.5]")
    assert hub.calls[-1].task.quantiles == (0.25, 0.5)
    assert [(row["step"], row["q0.25"]) for row in rows(answer)] == [("1", "16"), ("2", "16")]
    wrong = await table("/v1/forecast", TABLE, "model=forecaster&horizon=2&quantiles=0.5")
    assert wrong.problem() == (422, "invalid_input", "quantiles")


async def test_a_long_answer_is_written_too(client):
    body = {"model": "forecaster", "series": [[1.0] * 300] * 20}
    answer = await client.post("/v1/anomaly/score", body, headers={"accept": "text/csv"})
    assert len(rows(answer)) == 20 * 296


async def test_several_columns_are_several_series(table):
    text = "a,b\n" + "1,9\n" * 5
    found = rows(await table("/v1/anomaly/score", text))
    assert [(row["series"], row["value"]) for row in found] == [("a", "1"), ("b", "9")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header and rows"),
        ("a\n", "header and rows"),
        ("a,a\n1,2\n", "name of its own"),
        ("a,\n1,2\n", "name of its own"),
        ("a,b\n1\n", "row 2 has 1 cells"),
        ("a\nmany\n", "row 2: no number"),
        ("a\ninf\n", "no number"),
        ("a\nnan\n", "no number"),
        ("time\n2026-01-01\n", "1 to 2048 series"),
        ('a\n""\n', "no values"),
    ],
)
async def test_what_is_no_table_says_why(table, text, said):
    answer = await table("/v1/anomaly/score", text)
    assert answer.problem() == (422, "invalid_input", "body")
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n" + "1,2\n" * 5, "more than 10 cells"),
        ("a\n" + "\n" * 10, "more than 10 cells"),
        ("a\r" + "1\r" * 10, "more than 10 cells"),
        ("a" + ",b" * 2200, "1 to 2048 series"),
    ],
)
async def test_a_table_that_is_too_large_is_refused_before_it_is_read(
    table, monkeypatch, text, said
):
    monkeypatch.setattr(series_body, "MAX_CELLS", 10)
    monkeypatch.setattr(series_body.csv, "reader", None)
    answer = await table("/v1/forecast", text)
    assert answer.problem() == (422, "invalid_input", "body")
    assert said in answer.json()["error"]


async def test_a_table_of_just_as_many_cells_is_read(table, monkeypatch):
    monkeypatch.setattr(series_body, "MAX_CELLS", 10)
    query = "model=forecaster&horizon=1"
    assert (await table("/v1/forecast", "a,b\n" + "1,2\n" * 4, query)).status == 200


async def test_lines_may_end_in_any_way(table, hub):
    for end in ("\r", "\n", "\r\n"):
        text = end.join(["a;b", *["1;2"] * 1500])
        assert (await table("/v1/forecast", text, "model=forecaster&horizon=1")).status == 200
        assert len(hub.calls[-1].task.series[1]) == 1500


async def test_bytes_that_are_no_text_are_malformed(client):
    headers = {"content-type": "text/csv"}
    answer = await client.post(
        "/v1/forecast", b"a\n\xff\n", headers=headers, query="model=forecaster"
    )
    assert answer.problem() == (400, "malformed_request", "body")
