"""Request ids are UUIDs of version 7: they sort by time and differ without coordination."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from plaza_core.ids import RequestIds, new_request_id


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_request_id_is_a_uuid_that_holds_its_time_and_all_other_bits_are_random(ms, random):
    made = new_request_id(ms, lambda count: random[:count])
    read = uuid.UUID(made)
    assert str(read) == made
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == ms
    free = (1 << 80) - 1 & ~(0xF << 76) & ~(0x3 << 62)
    assert read.int & free == int.from_bytes(random, "big") & free


@given(st.integers(0, 2**48 - 2), st.binary(min_size=20, max_size=20))
def test_a_later_request_id_sorts_after_an_earlier_one(ms, random):
    parts = iter((random[:10], random[10:]))
    early, late = (new_request_id(ms + n, lambda _: next(parts)) for n in range(2))
    assert early < late


@given(st.lists(st.integers(0, 2**48 - 1), max_size=900))
def test_ids_made_in_numbers_are_those_made_one_by_one_of_the_same_random_bytes(moments):
    def source():
        numbers = iter(range(10**9))
        return lambda count: bytes(next(numbers) * 89 % 251 for _ in range(count))

    ids, random = RequestIds(source()), source()
    assert [ids.new(ms) for ms in moments] == [new_request_id(ms, random) for ms in moments]
