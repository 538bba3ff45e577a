"""An upload that dies at any step leaves nothing visible, can be sent again, and is cleared later.

The short form tries a spread of points in `make test`; `make prove crash-points` tries a hundred of
each kind.
"""

from __future__ import annotations

import random
import secrets

import pytest

from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import S3Blobs
from tests.registry.crashing import crash_everywhere

FULL = 100
SMALL = random.Random(7).randbytes(40_000)
LARGE = random.Random(8).randbytes((6 << 20) + 12_345)
"""Two parts of the least size that S3 has."""


@pytest.fixture
def on_disk(tmp_path):
    def make():
        place = tmp_path / secrets.token_hex(4)
        return lambda: LocalBlobs(place)

    return make


@pytest.fixture
def in_s3(s3):
    def make():
        place = s3.place(f"{secrets.token_hex(4)}/")
        return lambda: S3Blobs(place, part_bytes=5 << 20)

    return make


class TestShort:
    def test_on_disk(self, on_disk):
        refused, littered = crash_everywhere(on_disk, SMALL, 4_000, 25)
        assert refused >= 15
        assert littered >= 10

    def test_in_s3(self, in_s3):
        refused, littered = crash_everywhere(in_s3, SMALL, 4_000, 25)
        assert refused >= 15
        assert littered >= 2

    def test_in_s3_in_parts(self, in_s3):
        refused, littered = crash_everywhere(in_s3, LARGE, 1 << 20, 6)
        assert refused >= 4
        assert littered >= 2


@pytest.mark.prove
class TestFull:
    """Points after the publication leave the whole blob; all others leave nothing visible."""

    def test_on_disk(self, on_disk, record_property):
        refused, _ = crash_everywhere(on_disk, SMALL, 400, FULL)
        record_property("disk", {"points": FULL, "refused": refused})
        assert refused >= FULL - 10

    def test_in_s3(self, in_s3, record_property):
        refused, _ = crash_everywhere(in_s3, SMALL, 400, FULL)
        record_property("s3", {"points": FULL, "refused": refused})
        assert refused >= FULL - 20

    def test_in_s3_in_parts(self, in_s3, record_property):
        refused, _ = crash_everywhere(in_s3, LARGE, 100_000, FULL)
        record_property("s3 in parts", {"points": FULL, "refused": refused})
        assert refused >= FULL - 40
