"""What is sealed opens with its key at its place, and nowhere else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.sealing import SealBrokenError, Sealer, derive

KEY = bytes(range(32))


@given(st.binary(max_size=200), st.text(max_size=30))
def test_it_opens_where_it_was_sealed(plain, about):
    assert Sealer(KEY, os.urandom).open(Sealer(KEY, os.urandom).seal(plain, about), about) == plain


@given(st.data())
def test_a_changed_bit_another_place_or_another_key_do_not_open(data):
    sealed = bytearray(Sealer(KEY, os.urandom).seal(b"a secret", "here"))
    key, about = KEY, "here"
    match data.draw(st.sampled_from(["bit", "place", "key", "cut"])):
        case "bit":
            at = data.draw(st.integers(0, len(sealed) * 8 - 1))
            sealed[at // 8] ^= 1 << at % 8
        case "place":
            about = "there"
        case "key":
            key = bytes(32)
        case "cut":
            del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    with pytest.raises(SealBrokenError):
        Sealer(key, os.urandom).open(bytes(sealed), about)


def test_the_same_text_is_sealed_differently_each_time():
    sealer = Sealer(KEY, os.urandom)
    assert len({sealer.seal(b"x", "here") for _ in range(100)}) == 100


def test_keys_for_two_purposes_have_nothing_in_common():
    keys = {derive(b"s", purpose=p, salt=s) for p in ("one", "two") for s in (b"", b"salt")}
    assert len(keys) == 4
    # RFC 5869, test case 3: no salt, no info.
    known = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive(b"\x0b" * 22, purpose="").hex() == known
