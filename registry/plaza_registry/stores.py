"""Which blob store an installation has: a directory of this node, or a bucket."""

from __future__ import annotations

from plaza_core.ports import BlobStore
from plaza_core.settings import Settings
from plaza_registry.blobs import LocalBlobs

ABANDONED_AFTER_S = 24 * 3600
"""Older unfinished writes are nobody's any more: the longest upload takes minutes."""


def open_blobs(settings: Settings) -> BlobStore:
    """The store that `settings.blobs` names. Connects to nothing: S3 may be away at a start.

    Raises BadRequest naming the setting that is wrong.
    """
    if settings.blobs is None:
        return LocalBlobs(settings.state_dir.resolve() / "blobs")
    from plaza_registry.blobs_s3 import S3Blobs
    from plaza_registry.s3 import place_of

    return S3Blobs(place_of(settings))
