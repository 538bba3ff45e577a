"""The sticky word reaches the plane by header, parameter or field, and is bounded."""

import pytest

from tests.serving.doors.test_tasks import ALL, PNG

ROWS = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
WORD = {"x-plaza-sticky": "session 7"}


async def test_the_header_goes_before_the_parameter(client, hub):
    for document, headers in (
        (ROWS, {}),
        (ROWS, WORD),
        ({**ROWS, "parameters": {"sticky": "other"}}, {}),
        ({**ROWS, "parameters": {"sticky": "other"}}, WORD),
    ):
        assert (await client.infer(document, headers=headers)).status == 200
    assert [call.sticky for call in hub.calls] == [None, "session 7", "other", "session 7"]


@pytest.mark.parametrize("path", ALL)
async def test_each_task_takes_it_as_a_field(client, hub, path):
    assert (await client.post(path, {**ALL[path], "sticky": "x"})).status == 200
    assert (await client.post(path, ALL[path], headers=WORD)).status == 200
    assert [call.sticky for call in hub.calls] == ["x", "session 7"]


async def test_with_a_picture_as_the_body_it_is_in_the_query_and_a_number_is_a_word(client, hub):
    more = {"headers": {"content-type": "image/png"}, "query": "model=detector&sticky=42"}
    assert (await client.post("/v1/vision/detect", PNG, **more)).status == 200
    assert hub.calls[0].sticky == "42"


@pytest.mark.parametrize("word", ["", "x" * 257, "a\nb", 7, ["a"], True, "plz_secret"])
async def test_a_word_that_is_none_is_refused(client, hub, word):
    answer = await client.infer({**ROWS, "parameters": {"sticky": word}})
    assert answer.problem()[1:] == ("malformed_request", "sticky")
    assert hub.calls == []


async def test_a_header_that_is_too_long_is_refused(client):
    answer = await client.infer(ROWS, headers={"x-plaza-sticky": "x" * 257})
    assert answer.problem()[1:] == ("malformed_request", "x-plaza-sticky")


async def test_the_longest_word_is_taken(client, hub):
    assert (await client.infer(ROWS, headers={"x-plaza-sticky": "x" * 256})).status == 200
    assert hub.calls[0].sticky == "x" * 256
