"""Uploads to a blob store that are killed at chosen steps, and what must hold afterwards."""

from __future__ import annotations

import hashlib

import pytest

from plaza_core.errors import NotFound
from plaza_core.ids import Digest
from tests.dying import died, spread, steps_of

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
