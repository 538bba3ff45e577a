"""What BM25 counts of a text, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_models.search.terms import _terms, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Odor From_catch_basin!", ["odor", "from", "catch", "basin"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ Straße", ["full", "width", "strasse"]),
        ("路灯坏了", ["路", "灯", "坏", "了", "路灯", "灯坏", "坏了"]),
        ("修A路 3号", ["修", "a", "路", "3", "号"]),
        ("सड़क की बत्ती", ["सड़क", "की", "बत्ती"]),
        ("😀 — …", []),
        ("", []),
    ],
)
def test_words_and_in_unspaced_scripts_characters_and_pairs(text, expected):
    assert list(_terms(text)) == [term.casefold() for term in expected]


def test_what_is_said_twice_counts_twice():
    assert sorted(terms("hole, hole in the road").values()) == [1, 1, 1, 2]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_case_and_width_make_no_difference(text):
    assert terms(text) == terms(text.casefold())


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("abc 路灯坏", max_size=20))
def test_a_text_has_the_terms_of_its_parts(text, more):
    assert terms(f"{text} \n {more}") == terms(text) + terms(more)
