"""Splits are exact, alike everywhere, and move only whom they must."""

import itertools
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plaza_core.rollout import CELLS, WHOLE, Split, cell, position

WORDS = [f"caller-{n}" for n in range(20_000)]
SALTS = st.text("abcdefgh", min_size=1, max_size=8)


def canary(part, salt="r1"):
    return Split(stable=1, weights={1: WHOLE - part, 2: part}, rollout=salt)


def answered_by_two(split, words=WORDS):
    return {word for word in words if split.answering(word) == 2}


@given(SALTS)
def test_every_place_belongs_to_exactly_the_weights(salt):
    """A word's place is all that decides, and of the 10,000 places each version has its weight."""
    split = Split(stable=1, weights={1: 7000, 2: 2500, 3: 500}, rollout=salt)
    by_place = {}
    for word in itertools.islice(WORDS, 3000):
        by_place.setdefault(position(salt, word), set()).add(split.answering(word))
    assert all(len(versions) == 1 for versions in by_place.values())
    for place, (version,) in by_place.items():
        assert version == (1 if place < 7000 else 2 if place < 9500 else 3)


@given(SALTS, st.integers(1, WHOLE - 1))
def test_in_the_limit_the_weights_are_met(salt, part):
    """Binomial: five standard deviations of 20,000 words."""
    share = len(answered_by_two(canary(part, salt))) / len(WORDS)
    expected = part / WHOLE
    assert abs(share - expected) <= 5 * (expected * (1 - expected) / len(WORDS)) ** 0.5 + 1e-9


@given(SALTS, st.integers(1, WHOLE - 1), st.integers(1, WHOLE - 1))
def test_a_larger_part_keeps_whom_it_had(salt, one, other):
    words = WORDS[:2000]
    small, large = sorted((one, other))
    assert answered_by_two(canary(small, salt), words) <= answered_by_two(
        canary(large, salt), words
    )


def test_another_rollout_meets_other_callers():
    """Independent salts: as many met by both as chance would have, within five deviations."""
    first, second = (answered_by_two(canary(2000, salt)) for salt in ("r1", "r2"))
    both, n = len(first & second), len(WORDS)
    assert abs(both - 0.04 * n) <= 5 * (n * 0.04 * 0.96) ** 0.5


def test_a_shadow_s_callers_are_not_chosen_by_the_split_s_own_hash():
    split = Split(stable=1, weights={1: 5000, 2: 5000}, shadows={3: 5000}, rollout="r")
    met = [w for w in WORDS if split.answering(w) == 2]
    both = sum(split.shadowing(w) == [3] for w in met)
    assert abs(both - len(met) / 2) <= 5 * (len(met) / 4) ** 0.5


def test_another_process_gives_the_same_answer():
    split = canary(3333)
    code = (
        "import json, sys; from plaza_core.rollout import Split;"
        "split = Split.model_validate_json(sys.argv[1]);"
        "print(json.dumps([split.answering(f'caller-{n}') for n in range(500)]))"
    )
    run = [sys.executable, "-c", code, split.model_dump_json()]
    other = json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
    assert other == [split.answering(word) for word in WORDS[:500]]


@pytest.mark.parametrize(
    "split",
    [
        {"stable": 1, "weights": {1: 5000, 2: 4999}},
        {"stable": 1, "weights": {2: WHOLE}},
        {"stable": 1, "weights": {1: WHOLE, 2: 0}},
        {"stable": 1, "shadows": {1: 100}},
        {"stable": 1, "weights": {1: 5000, 2: 5000}, "shadows": {2: 1}},
    ],
)
def test_a_split_that_means_nothing_is_refused(split):
    with pytest.raises(ValidationError):
        Split.model_validate(split)


@given(st.integers(1, 10**9), st.integers(1, 4096))
def test_a_cell_tells_time_within_a_fifth_and_size_within_two(us, rows):
    found = cell(us, rows)
    assert 2 ** (found // CELLS) <= rows < 2 ** (found // CELLS + 1)
    low = 2 ** ((found % CELLS) / 4)
    assert low * 0.999999 <= us < low * 2**0.25 * 1.000001
