"""Triton's configuration and statistics, as its clients read them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_serving.doors.classification import classified


async def test_the_configuration_leaves_the_batch_axis_out(client):
    config = (await client.get("/v2/models/echo/config")).json()
    assert (config["name"], config["max_batch_size"]) == ("echo", 32)
    assert config["input"][0]["dims"] == [3]
    assert [(one["name"], one["data_type"]) for one in config["output"]] == [
        ("y", "TYPE_FP32"),
        ("z", "TYPE_FP32"),
    ]
    assert config["model_transaction_policy"] == {"decoupled": False}
    assert config["dynamic_batching"]["default_priority_level"] == 5


async def test_a_model_whose_rows_are_never_joined_has_the_size_zero(client):
    config = (await client.get("/v2/models/words/versions/2/config")).json()
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [-1])
    assert config["input"][0]["data_type"] == "TYPE_STRING"
    assert "dynamic_batching" not in config


@pytest.mark.parametrize(
    ("path", "told"),
    [("/v2/models/echo/versions/2/stats", [("echo", "2")]),
     ("/v2/models/echo/stats", [("echo", "1"), ("echo", "2")])],
)  # fmt: skip
async def test_statistics(client, path, told):
    found = (await client.get(path)).json()["model_stats"]
    assert [(one["name"], one["version"]) for one in found] == told
    one = found[0]
    assert (one["last_inference"], one["inference_count"], one["execution_count"]) == (7, 3, 1)
    assert one["inference_stats"]["success"] == {"count": 1, "ns": 5000}
    assert one["inference_stats"]["cache_hit"] == {"count": 0, "ns": 0}
    assert one["batch_stats"][0]["batch_size"] == 3


async def test_statistics_of_all_and_of_none(client):
    assert len((await client.get("/v2/models/stats")).json()["model_stats"]) == 4
    assert (await client.get("/v2/models/none/stats")).problem()[1] == "model_not_found"


@given(
    st.sampled_from([np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64]),
    st.lists(st.integers(-128, 127), min_size=1, max_size=12),
    st.integers(1, 14),
)
def test_the_best_are_the_greatest_and_the_first_of_equals(dtype, values, most):
    array = np.array(values).astype(dtype)
    told = [text.decode().split(":") for text in classified(array, most, (), batched=False)]
    order = sorted(range(len(array)), key=lambda at: (-int(array[at]), at))
    assert [int(index) for _, index in told] == order[:most]
    assert [float(value) for value, _ in told] == [float(array[at]) for at in order[:most]]


def test_labels_stand_where_there_is_one_for_each_entry():
    array = np.array([[1, 5], [9, 2]], np.int32)
    named = classified(array, 1, ("cat", "dog"), batched=True)
    assert named.tolist() == [[b"5:1:dog"], [b"9:0:cat"]]
    assert classified(array, 1, ("cat",), batched=True).tolist() == [[b"5:1"], [b"9:0"]]


def test_nan_is_never_among_the_best():
    array = np.array([np.nan, -np.inf, 2], np.float32)
    assert classified(array, 2, (), batched=False).tolist() == [b"2.000000:2", b"-inf:1"]
