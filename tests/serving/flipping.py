"""One bit of a bundle flipped somewhere between the store and a model that opens it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from plaza_core.errors import InvalidBundle, PlazaError, Unavailable
from plaza_core.ids import Digest
from plaza_core.table import FileEntry, VersionEntry
from plaza_core.testing import FakeClock
from plaza_registry.bundle import bundle_digest
from plaza_serving.dataplane.bundles import BundleCache
from tests.serving.dataplane.world import make_manifest

_RANDOM = random.Random(11)
FILES = {
    "model.onnx": _RANDOM.randbytes(50_000),
    "model.onnx.data": _RANDOM.randbytes((1 << 20) + 5),
    "plaza.yaml": b"schema: 1\nname: echo\n" * 20,
    "labels.txt": b"car\nbus\n",
}
PLACES = ("store", "wire", "cache")


def entry() -> VersionEntry:
    files = [
        FileEntry(path=p, size=len(b), sha256=Digest(hashlib.sha256(b).hexdigest()))
        for p, b in FILES.items()
    ]
    return VersionEntry(
        version=1, digest=bundle_digest(files), manifest=make_manifest(), files=files
    )


def flipped(content: bytes, bit: int) -> bytes:
    spoilt = bytearray(content)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def chosen(seed: int, count: int) -> list[tuple[str, int]]:
    """(file, bit): each file in turn, first and last bits among them."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        path = list(FILES)[number % len(FILES)]
        bits = len(FILES[path]) * 8
        edge = {0: 0, 1: bits - 1}.get(number // len(FILES))
        found.append((path, draw.randrange(bits) if edge is None else edge))
    return found


Overwrite = Callable[[str, bytes], None]
"""Puts content into the store under another content's digest."""


def flip_everywhere(place: Path, blobs, overwrite: Overwrite, count: int) -> Counter[str]:
    """Flip `count` bits in each of PLACES; count the refusals. Afterwards all is whole again."""
    refused: Counter[str] = Counter()
    wanted = entry()
    for content in FILES.values():
        blobs.put([content], limit=len(content))

    @contextlib.contextmanager
    def fetched(sha256):
        with blobs.open(sha256) as file:
            yield iter(lambda: file.read(100_000), b"")

    def cache(name, open_blob=fetched):
        return BundleCache(place / name, open_blob, limit_bytes=1 << 30, clock=FakeClock())

    def refuses(cache, where):
        with pytest.raises((InvalidBundle, Unavailable)):
            cache.fetch(wanted)
        assert not [p for p in (place / where).iterdir() if p.is_dir()], "nothing may be left"
        refused[where] += 1

    for path, bit in chosen(1, count):
        whole = FILES[path]
        sha256 = hashlib.sha256(whole).hexdigest()
        overwrite(sha256, flipped(whole, bit))
        refuses(cache("store"), "store")
        overwrite(sha256, whole)
    for path, bit in chosen(2, count):
        spoilt = flipped(FILES[path], bit)

        @contextlib.contextmanager
        def wire(sha256, path=path, spoilt=spoilt):
            mine = hashlib.sha256(FILES[path]).hexdigest() == sha256
            with fetched(sha256) as chunks:
                content = b"".join(chunks)
                yield iter([spoilt if mine else content])

        refuses(cache("wire", wire), "wire")
    _flip_in_the_cache(place, cache, wanted, refused, count)
    return refused


def _flip_in_the_cache(place, cache, wanted, refused, count):
    """With the store away a damaged copy is refused; with it, replaced before it is opened."""

    @contextlib.contextmanager
    def away(sha256):
        raise Unavailable("control cannot be reached")
        yield

    for path, bit in chosen(3, count):
        there = cache("cache").fetch(wanted)
        (there / path).write_bytes(flipped(FILES[path], bit))
        with pytest.raises(PlazaError):
            cache("cache", away).fetch(wanted)
        refused["cache"] += 1
        again = cache("cache").fetch(wanted)
        assert {p: (again / p).read_bytes() for p in FILES} == FILES


def overwrite_on_disk(directory: Path) -> Overwrite:
    def overwrite(sha256: str, content: bytes) -> None:
        path = directory / sha256[:2] / sha256[2:4] / sha256
        path.chmod(0o600)
        path.write_bytes(content)

    return overwrite


def overwrite_in_s3(place) -> Overwrite:
    client = place.client()

    def overwrite(sha256: str, content: bytes) -> None:
        key = f"{place.prefix}sha256/{sha256}"
        client.put_object(place.bucket, key, io.BytesIO(content), len(content))

    return overwrite
