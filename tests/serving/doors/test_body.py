"""Bodies: limits count what arrives, compressed or not; JSON is checked before it is parsed."""

import asyncio
import contextlib
import gzip
import itertools
import json
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plaza_core.errors import MalformedRequest, PayloadTooLarge, UnsupportedMedia
from plaza_serving.doors.body import deeper_than, inflate, parse_json
from plaza_serving.doors.http import HttpDoor

LIMIT = 1 << 20
GOOD = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
).encode()


# ── size ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(client, pieces):
    async def send(size):
        body = GOOD + b" " * (size - len(GOOD))
        step = -(-size // pieces)
        return await client.infer([body[at : at + step] for at in range(0, size, step)])

    assert (await send(LIMIT)).status == 200
    assert (await send(LIMIT + 1)).problem() == (413, "payload_too_large", "body")


async def test_an_endless_body_is_left_as_soon_as_it_is_over_the_limit(client):
    endless = itertools.repeat(b"x" * 65536)
    answer = await client.infer(endless, headers={"transfer-encoding": "chunked"})
    assert answer.problem() == (413, "payload_too_large", "body")
    assert client.received * 65536 <= LIMIT + 65536
    assert answer.headers["connection"] == "close"


async def test_an_announced_length_over_the_limit_is_not_waited_for(client):
    answer = await client.infer(GOOD, headers={"content-length": str(LIMIT + 1)})
    assert (answer.status, client.received) == (413, 0)
    assert answer.headers["connection"] == "close"


async def test_an_announced_length_is_not_believed(client):
    pieces = [b" " * 65536] * 17
    answer = await client.infer(pieces, headers={"content-length": "10"})
    assert answer.status == 413


async def test_large_bodies_share_one_budget_and_give_it_back(hub, settings, new_client):
    door = HttpDoor(hub, settings)
    hub.hold = asyncio.Event()
    large = [GOOD + b" " * (LIMIT // 2 - len(GOOD)), b" " * (LIMIT // 2)]
    waiting = [asyncio.create_task(new_client(door).infer(large)) for _ in range(16)]
    while len(hub.calls) < 16:
        await asyncio.sleep(0)
    refused = await new_client(door).infer(large)
    assert refused.problem() == (503, "overloaded", "body")
    assert refused.headers["retry-after"] == "1"
    small = asyncio.create_task(new_client(door).infer(GOOD))
    hub.hold.set()
    assert [(await task).status for task in [*waiting, small]] == [200] * 17
    assert (await new_client(door).infer(large)).status == 200


# ── compression ──────────────────────────────────────────────────────────────────────────────────
def raw_deflate(data):
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(data) + machine.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
     ("GZIP", gzip.compress), ("identity", bytes)],
)  # fmt: skip
async def test_compressed_bodies(client, encoding, pack):
    answer = await client.infer(pack(GOOD), headers={"content-encoding": encoding})
    assert answer.json()["outputs"][0]["data"] == [1, 2, 3]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", ""])
async def test_other_encodings_are_415(client, encoding):
    answer = await client.infer(GOOD, headers={"content-encoding": encoding})
    assert answer.problem() == (415, "unsupported_media", "content-encoding")


async def test_a_compression_bomb_is_413_within_the_limit(client):
    bomb = gzip.compress(b"0" * 50 * LIMIT)
    assert len(bomb) < LIMIT // 10
    answer = await client.infer(bomb, headers={"content-encoding": "gzip"})
    assert answer.problem() == (413, "payload_too_large", "body")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_damaged_or_continued_compression_is_malformed(pack):
    encoding = "gzip" if pack is gzip.compress else "deflate"
    packed = pack(GOOD)
    assert inflate(packed, encoding, len(GOOD)) == GOOD
    with pytest.raises(PayloadTooLarge):
        inflate(packed, encoding, len(GOOD) - 1)
    for damaged in (b"", packed[:-1], packed + b"x", packed[:9] + b"\xff\xff" + packed[11:]):
        with pytest.raises(MalformedRequest):
            inflate(damaged, encoding, LIMIT)
    with pytest.raises(UnsupportedMedia):
        inflate(packed, "compress", LIMIT)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_noise_is_never_more_than_malformed(noise, encoding):
    with contextlib.suppress(MalformedRequest, PayloadTooLarge):
        inflate(noise, encoding, LIMIT)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────
def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a"\\[]{}é\n')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('"\\[{')), inner),
    max_leaves=30,
)


@given(documents, st.integers(0, 6), st.booleans())
@example('\\"[', 0, True)
@example(["]]]]", "\\\\", [["["]]], 2, True)
def test_depth_is_exact_whatever_the_strings_hold(document, limit, ascii_only):
    text = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert deeper_than(text, limit) == (depth_of(document) > limit)


def test_depth_is_carried_over_blocks():
    filler = b'"' + b"[" * 200_000 + b'",'
    at_limit = b"[" * 32 + filler + b"[]" * 0 + b"1" + b"]" * 32
    assert not deeper_than(at_limit, 32)
    assert deeper_than(b"[" + at_limit + b"]", 32)
    assert not deeper_than(b"[" + b"[1]," * 100_000 + b"[1]]", 2)


def test_depth_at_the_limit_parses_and_one_deeper_does_not():
    assert parse_json(b"[" * 32 + b"]" * 32, 32)
    with pytest.raises(MalformedRequest, match="deeper than 32"):
        parse_json(b"[" * 33 + b"]" * 33, 32)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"nothing", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[1e400]", b'["\xff"]',
     b'["\\ud800"]', b"[1,]", b"[01]", b"'x'", b"[1]x", b"\xef\xbb\xbf{}", b"\x00",
     b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
async def test_what_is_not_json_is_malformed(client, text):
    assert (await client.infer(text)).problem() == (400, "malformed_request", "body")


def test_of_duplicate_keys_the_last_counts():
    assert parse_json(b'{"a":1,"a":2}', 32) == {"a": 2}


@given(documents)
def test_documents_survive(document):
    wide = lambda value: (  # noqa: E731 a local word for "has an integer beyond 64 bits"
        any(map(wide, value.values() if isinstance(value, dict) else value))
        if isinstance(value, (dict, list))
        else type(value) is int and not -(2**63) <= value < 2**64
    )
    if not wide(document):
        assert parse_json(json.dumps(document).encode(), 1000) == document


def test_integers_beyond_64_bits_are_no_integers():
    assert parse_json(b"[18446744073709551615]", 8) == [2**64 - 1]
    assert type(parse_json(b"[18446744073709551616]", 8)[0]) is float
