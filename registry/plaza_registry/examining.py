"""Opening a registered version in the sandbox again: its bundle, put together from blobs."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plaza_core.errors import Unavailable
from plaza_core.ports import BlobStore
from plaza_core.table import VersionEntry

_CHUNK = 1 << 20


@contextmanager
def bundle_of(blobs: BlobStore, entry: VersionEntry) -> Iterator[Path]:
    """A directory with the files of a version, each as its digest says; gone with the block.

    Raises NotFound for a blob that is not there, Unavailable for one that is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="plaza-examine-") as name:
        directory = Path(name)
        for file in entry.files:
            path = directory / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            found = hashlib.sha256()
            with blobs.open(file.sha256) as source, path.open("xb") as target:
                while chunk := source.read(_CHUNK):
                    found.update(chunk)
                    target.write(chunk)
            if found.hexdigest() != file.sha256:
                raise Unavailable("a stored blob is damaged", input=file.sha256)
        yield directory
