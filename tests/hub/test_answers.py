"""Nobody gets another's answer, however requests are joined and callers leave (short form)."""

import pytest

from benchmarks import answers

pytestmark = pytest.mark.hub


def test_every_answer_is_that_of_its_own_question(hub, tmp_path):
    found = answers.measure(hub, answers.prepare(hub, tmp_path), 1_000)
    assert found["held"], found
    assert found["told"]["left"] > 0
