"""Which document is first, and why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plaza_models.search.index import Index
from plaza_models.search.rank import K1, B, keyword_scores, search
from plaza_models.search.segment import Document, build

TEXTS = ["street light broken", "pothole in the street", "路灯坏了没人修", "公园里的长椅坏了"]
VECTORS = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.5, 0.5]], np.float32)


@pytest.fixture
def index():
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    return Index.of([build(documents[:2], VECTORS[:2]), build(documents[2:], VECTORS[2:])])


def found(hits, index):
    return [index.document(hit.place).id for hit in hits]


def test_bm25_is_bm25(index):
    lengths = [3, 4, 13, 15]  # the runs of Chinese: 7 + 6 and 8 + 7
    mean = sum(lengths) / 4
    weight = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    expected = [weight * (K1 + 1) / (1 + K1 * (1 - B + B * n / mean)) for n in lengths[:2]]
    assert keyword_scores(index, "street") == pytest.approx([*expected, 0, 0])


def test_a_rare_word_counts_more_than_a_common_one(index):
    assert found(search(index, "street pothole", None, 5), index) == ["1", "0"]


def test_chinese_is_found_by_words_that_nobody_marked(index):
    assert found(search(index, "路灯", None, 5), index) == ["2"]
    assert found(search(index, "长椅坏了", None, 5), index) == ["3", "2"]
    assert found(search(index, "灯", None, 5), index) == ["2"]


def test_a_vector_finds_what_shares_no_word(index):
    hits = search(index, None, np.array([1, 0], np.float32), 2)
    assert found(hits, index) == ["0", "2"]
    assert [hit.cosine for hit in hits] == pytest.approx([1, 0.994], abs=1e-3)


def test_both_together_put_first_what_both_know(index):
    hits = search(index, "street pothole", np.array([1, 0], np.float32), 3)
    assert found(hits, index) == ["0", "1", "2"]
    first = hits[0]
    assert (first.keyword_rank, first.vector_rank) == (2, 1)
    assert first.score == pytest.approx(1 / 62 + 1 / 61)
    assert hits[2].keyword_rank is None
    assert hits[2].keyword_score is None


def test_no_more_than_asked_for_and_ties_by_age():
    index = Index.of([build([Document(str(n), "same") for n in range(9)])])
    assert found(search(index, "same", None, 4), index) == ["0", "1", "2", "3"]


def test_a_document_without_a_direction_is_no_neighbour():
    index = Index.of(
        [build([Document("a", "x"), Document("b", "y")], np.eye(2, 2, k=1, dtype="f"))]
    )
    assert found(search(index, None, np.array([0, 1], np.float32), 5), index) == ["a"]
