"""Errors name the field that the caller wrote, in each endpoint's own words."""

import pytest

from plaza_core.errors import InvalidInput, ModelFailed
from tests.models.forecast import small

TIMES = {"type": "univariate_time_series", "frequency": "hour", "series": [1, 2]}
KSERVE = {
    "model": "forecaster",
    "inputs": [{**TIMES, "name": name} for name in ("north", "south")],
    "options": {"horizon": 2},
}
PAIR = {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}
TABLE = "time,warmth,north,south\n" + "".join(f"{at},1,{at},{at}\n" for at in range(2, 9))


@pytest.mark.parametrize(
    ("path", "body", "own", "said"),
    [
        ("/v1/text/classify", {"model": "classifier", "input": ["a", "b"]}, "texts[1]", "input[1]"),
        ("/v1/text/classify", {"model": "classifier", "input": "a"}, "texts[0]", "input"),
        ("/v1/embeddings", {"model": "embedder", "input": ["a", "b"]}, "texts[1]", "input[1]"),
        ("/v1/embeddings", {"model": "embedder", "input": "a"}, "texts[0]", "input"),
        ("/embed", {"inputs": ["a", "b"]}, "texts[1]", "inputs[1]"),
        ("/embed", {"inputs": "a"}, "texts[0]", "inputs"),
        ("/predict", {"inputs": "a"}, "texts[0]", "inputs"),
        ("/predict", {"inputs": ["a"]}, "texts[0]", "inputs[0]"),
        ("/predict", {"inputs": [["a"], ["b"]]}, "texts[1]", "inputs[1][0]"),
        ("/rerank", {"query": "a", "texts": ["b", "c"]}, "texts[0]", "query"),
        ("/rerank", {"query": "a", "texts": ["b", "c"]}, "texts[2]", "texts[1]"),
        ("/similarity", PAIR, "texts[0]", "inputs.source_sentence"),
        ("/similarity", PAIR, "texts[2]", "inputs.sentences[1]"),
        ("/v1/timeseries/forecast", KSERVE, "series[1]", "inputs[1].series"),
        ("/v1/timeseries/forecast", KSERVE, "series[1][0]", "inputs[1].series[0]"),
        ("/v1/timeseries/forecast", KSERVE, "series", "inputs"),
        ("/v1/timeseries/forecast", KSERVE, "quantiles", "options.quantiles"),
        ("/v1/forecast", {"model": "forecaster", "series": [[1]], "horizon": 1},
         "series[0][0]", "series[0][0]"),
        ("/v1/forecast", {"model": "forecaster", "values": [1], "horizon": 1}, "series", "values"),
        ("/v1/anomaly/score", {"model": "forecaster", "values": [1]}, "series[0][7]", "values[7]"),
        ("/v1/warning/level", {"model": "forecaster", "values": [1]}, "series[0]", "values"),
        ("/v1/warning/level", {"model": "forecaster", "values": [1]}, "known[2]", "known[2]"),
        ("/v1/vision/quality", {"images": ["eA=="]}, "image", "images[0]"),
        ("/v1/vision/quality", {"images": ["eA=="]}, "images[1]", "images[1]"),
        ("/v1/embeddings", {"model": "embedder", "input": "a"}, "model", "model"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [InvalidInput, ModelFailed])
async def test_the_callers_word(client, hub, path, body, own, said, kind):
    hub.fail = kind("what was wrong", input=own)
    answer = await client.post(path, body)
    assert answer.problem()[1:] == (kind.code, said)
    assert hub.fail.input == own, "others of the batch have words of their own"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/similarity", {"inputs": {"sentences": ["a"]}}, "inputs.source_sentence"),
        ("/similarity", {"inputs": {"source_sentence": "a"}}, "inputs.sentences"),
        ("/similarity", {**PAIR, "parameters": {"truncate": 1}}, "parameters.truncate"),
        ("/v1/timeseries/forecast", {**KSERVE, "options": {}}, "options.horizon"),
        ("/v1/timeseries/forecast", {**KSERVE, "options": {"quantiles": 1, "horizon": 1}},
         "options.quantiles"),
    ],
)  # fmt: skip
async def test_what_is_inside_of_an_object_is_named_so(client, path, body, said):
    assert (await client.post(path, body)).problem() == (422, "invalid_input", said)


@pytest.mark.parametrize(
    ("path", "own", "said"),
    [
        ("/v1/forecast", "series[1][3]", "column 'south', row 5: "),
        ("/v1/forecast", "series[1]", "column 'south': "),
        ("/v1/forecast", "series", ""),
        ("/v1/forecast", "known", ""),
        ("/v1/forecast", "known[0][2]", "column 'warmth', row 7: "),
        ("/v1/anomaly/score", "known[0][2]", "column 'warmth', row 4: "),
    ],
)
async def test_of_a_table_column_and_row_are_named(client, hub, path, own, said):
    options = {"known": ["warmth"], "context": 4, "horizon": 3}
    signature = {"inputs": [small.tensor("x", 4)], "outputs": [small.tensor("y", 5, 3)]}
    manifest = {"family": "forecast.quantile", "signature": signature, "options": options}
    hub.add("weather", manifest, lambda task: None)
    hub.fail = InvalidInput("it is missing", input=own)
    headers, query = {"content-type": "text/csv"}, "model=weather"
    answer = await client.post(path, TABLE.encode(), headers=headers, query=query)
    assert answer.problem() == (422, "invalid_input", "body")
    assert answer.json()["error"] == f"{said}it is missing"


@pytest.mark.parametrize("own", ["series[3]", "known[0]", f"series[{'9' * 5000}]"])
async def test_a_column_that_is_not_there_is_told_as_the_model_said_it(client, hub, own):
    hub.fail = InvalidInput("it is missing", input=own)
    answer = await client.post(
        "/v1/forecast", TABLE.encode(), headers={"content-type": "text/csv"},
        query="model=forecaster&horizon=1",
    )  # fmt: skip
    assert answer.problem()[2] == own


async def test_of_a_table_with_one_series_its_column(client, hub):
    hub.fail = InvalidInput("it is missing", input="values[1]")
    answer = await client.post(
        "/v1/forecast", b"load\n1\n2\n", headers={"content-type": "text/csv"},
        query="model=forecaster&horizon=1",
    )  # fmt: skip
    assert answer.json()["error"] == "column 'load', row 3: it is missing"
