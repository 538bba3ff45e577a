"""An upload that dies at any step leaves nothing visible, can be sent again, and is cleared later.

The short form tries a spread of points in `make test`; `make prove crash-points` tries a hundred of
each kind.
"""

from __future__ import annotations

import hashlib
import random
import secrets

import pytest

from plaza_core.errors import NotFound
from plaza_core.ids import Digest
from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import S3Blobs
from tests.dying import died, spread, steps_of

FULL = 100
SMALL = random.Random(7).randbytes(40_000)
LARGE = random.Random(8).randbytes((6 << 20) + 12_345)
"""Two parts of the least size that S3 has."""
FAR = 2**60


def upload(open_store, content, chunk):
    def act(steps):
        open_store().put(steps.of(content, chunk), limit=len(content))

    return act


def crash_everywhere(make_store, content, chunk, wanted):
    """Returns how many of the points left nothing visible, and how many left something to clear."""
    digest = Digest(hashlib.sha256(content).hexdigest())
    make_store()().put([content], limit=len(content))  # imports are no steps of an upload
    total = steps_of(upload(make_store(), content, chunk))
    refused, littered = 0, 0
    for point in spread(total, wanted):
        open_store = make_store()
        assert died(upload(open_store, content, chunk), point), f"step {point} of {total}"
        blobs = open_store()
        seen = list(blobs.digests())
        if seen:  # it died after the publication: then all of it is there
            assert seen == [digest], point
            with blobs.open(digest) as file:
                assert file.read() == content, point
        else:
            assert not blobs.exists(digest)
            with pytest.raises(NotFound):
                blobs.open(digest)
            refused += 1
        assert blobs.put([content], limit=len(content)) == (digest, len(content))
        littered += blobs.remove_abandoned(FAR) > 0
        assert blobs.remove_abandoned(FAR) == 0
        assert list(blobs.digests()) == [digest]
        with blobs.open(digest) as file:
            assert file.read() == content
    return refused, littered


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
        refused, littered = crash_everywhere(in_s3, LARGE, 1 << 20, 12)
        assert refused >= 8
        assert littered >= 4


@pytest.mark.prove
class TestFull:
    def test_on_disk(self, on_disk):
        refused, _ = crash_everywhere(on_disk, SMALL, 400, FULL)
        assert refused >= FULL - 10

    def test_in_s3(self, in_s3):
        refused, _ = crash_everywhere(in_s3, SMALL, 400, FULL)
        assert refused >= FULL - 20

    def test_in_s3_in_parts(self, in_s3):
        refused, _ = crash_everywhere(in_s3, LARGE, 100_000, FULL)
        assert refused >= FULL - 40
