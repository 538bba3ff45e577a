"""Whatever may arrive as a text."""

from hypothesis import strategies as st

ODD = (
    *("my", "cards", "地铁", "كتاب", "हिन्दी", "ไทย", "ﬁ", "e\u0301"),
    *("👩‍👩‍👧", "🏳️‍🌈", "\x00", "\u202e", "\ud800"),
)
"""Words of many scripts, emoji with joiners, control characters, half a pair."""

anything = st.one_of(
    st.text(max_size=400),
    st.text(st.characters(categories=("Cc", "Cf", "Co", "Cs", "Cn", "Zs", "Mn")), max_size=60),
    st.lists(st.sampled_from(ODD), max_size=120).map(" ".join),
    st.sampled_from(("", " \n\t", "\x00", "\ufeff", "a" * 3000, "地" * 3000, "😀" * 500)),
)
