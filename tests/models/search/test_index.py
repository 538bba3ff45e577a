"""An index that grew, in any order and however merged, is the index that was built at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plaza_core.errors import DamagedIndex
from plaza_models.search.index import Index
from plaza_models.search.rank import keyword_scores, search
from plaza_models.search.segment import Document, build
from plaza_models.search.wire import from_bytes, to_bytes

DIMENSION = 4
IDS = st.sampled_from([f"d{n}" for n in range(8)] + ["路", ""])
TEXTS = st.text("ab路灯 😀", max_size=12)
VECTORS = st.lists(st.integers(-3, 3), min_size=DIMENSION, max_size=DIMENSION)
DOCUMENTS = st.dictionaries(IDS, st.tuples(TEXTS, VECTORS), max_size=4)


def segment_of(documents, removes=()):
    vectors = np.array([v for _, v in documents.values()], np.float32).reshape(-1, DIMENSION)
    made = [Document(name, text, f'{{"n":"{name}"}}') for name, (text, _) in documents.items()]
    return build(made, vectors, removes)


def answers(index, query, vector):
    """Everything a caller can see of an index."""
    unit = np.array(vector, np.float32)
    found = []
    for words, direction in ((query, None), (None, unit), (query, unit)):
        for hit in search(index, words, direction, 5):
            document = index.document(hit.place)
            ranks = (hit.keyword_rank, hit.vector_rank)
            found.append((document, ranks, hit.keyword_score, round(hit.score, 5)))
    return found


class Growing(RuleBasedStateMachine):
    """One index is changed piece by piece as control does it; a dictionary says what is in it."""

    @initialize()
    def begin(self):
        self.model = {}
        self.index = Index()

    @rule(documents=DOCUMENTS, removes=st.sets(IDS, max_size=3))
    def change(self, documents, removes):
        removes -= documents.keys()
        for name in [*documents, *removes]:
            self.model.pop(name, None)
        self.model.update(documents)
        new = segment_of(documents, removes)
        start = self.index.tail(new)
        written = from_bytes(to_bytes(self.index.merged(start, new)))
        grown = self.index.with_tail(start, [written])
        self.appended = self.index.with_tail(len(self.index.segments), [new])
        assert list(grown.ids()) == list(self.appended.ids())
        self.index = grown

    @rule()
    def somebody_else_reads_all_of_it(self):
        read = Index.of([from_bytes(to_bytes(segment)) for segment in self.index.segments])
        assert all(np.array_equal(*pair) for pair in zip(read.live, self.index.live, strict=True))

    @rule(query=TEXTS, vector=VECTORS)
    def ask(self, query, vector):
        rebuilt = Index.of([segment_of(self.model)])
        assert answers(self.index, query, vector) == answers(rebuilt, query, vector)

    @invariant()
    def it_holds_what_was_put_and_not_deleted(self):
        assert list(self.index.ids()) == list(self.model)
        assert self.index.documents == len(self.model)
        for name, (text, _) in self.model.items():
            at, place = self.index.find(name)
            assert self.index.segments[at].document(place).text == text
        assert self.index.find("never put") is None

    @invariant()
    def it_has_few_segments_and_little_waste(self):
        sizes = [segment.size for segment in self.index.segments]
        assert all(sizes[at] > sum(sizes[at + 1 :]) for at in range(len(sizes) - 1))


TestGrowing = Growing.TestCase
TestGrowing.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)


def test_a_thousand_single_documents_are_few_segments_and_each_was_copied_a_few_times():
    index, copied = Index(), 0
    for number in range(1000):
        new = build([Document(f"{number}", "one more")])
        start = index.tail(new)
        merged = index.merged(start, new)
        copied += merged.documents
        index = index.with_tail(start, [merged])
    assert len(index.segments) <= 10
    assert copied <= 1000 * 11


def test_an_index_of_which_most_was_deleted_is_made_small_again():
    index = Index.of([build([Document(f"{n}", "x" * 50) for n in range(100)])])
    for number in range(60):
        new = build([], removes=[f"{number}"])
        start = index.tail(new)
        index = index.with_tail(start, [index.merged(start, new)])
    assert index.documents == 40
    assert sum(segment.documents for segment in index.segments) < 60


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_stored_segment_with_a_wrong_bit_is_refused(at, bit):
    data = bytearray(to_bytes(segment_of({"a": ("hole in the road", [1, 0, 0, 0])})))
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(DamagedIndex):
        from_bytes(bytes(data))


@given(st.integers(0, 600))
def test_a_stored_segment_that_is_cut_short_is_refused(length):
    data = to_bytes(segment_of({"a": ("hole in the road", [1, 0, 0, 0])}))
    with pytest.raises(DamagedIndex):
        from_bytes(data[: min(length, len(data) - 1)])


def test_a_document_is_in_a_segment_once():
    with pytest.raises(ValueError, match="once"):
        build([Document("a", "x"), Document("a", "y")])


def test_an_empty_index_answers_nothing():
    assert search(Index(), "anything", np.ones(3, np.float32), 5) == []
    assert len(keyword_scores(Index(), "anything")) == 0
