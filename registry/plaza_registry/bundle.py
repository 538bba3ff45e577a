"""Bundles: which directories are one, what they contain, and their digest.

    model.onnx   plaza.yaml   CARD.md   vocabulary.json   samples/first.npy

A bundle is flat or one level deep, made of plain files with safe names and known endings. Links are
refused, also hard ones: a second name for somebody else's file would be read as if it were ours.
The digest is sha256 over the canonical JSON of the sorted [path, size, sha256] of every file except
the card. Nothing here opens the model as a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from plaza_core.card import CARD_BYTES, parse_card
from plaza_core.errors import InvalidBundle
from plaza_core.ids import Digest
from plaza_core.keys import holds_key
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, MODEL_FILE, Manifest, parse_manifest
from plaza_core.table import FileEntry
from plaza_registry.onnx_header import check_model_header

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TEXT_LIMIT = CARD_BYTES
_CHUNK = 1 << 20

ASSET_ENDINGS = frozenset(
    {".json", ".txt", ".csv", ".tsv", ".yaml", ".md"}
    | {".vocab", ".merges", ".model", ".bin", ".data", ".onnx_data", ".npy"}
    | {".png", ".jpg", ".jpeg", ".webp", ".ttf", ".otf"}
)
"""Endings of files beside the model: tables, tokenizers, external weights, sample inputs, letters
to draw labels with."""

_FOREIGN = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x7fELF", "a program"),
)


@dataclass(frozen=True, slots=True)
class BundleLimits:
    total_bytes: int = 512 << 20
    files: int = 64


@dataclass(frozen=True, slots=True)
class Bundle:
    """A directory that passed. `files` are sorted by path and leave the card out."""

    directory: Path
    manifest: Manifest
    files: tuple[FileEntry, ...]
    card: str
    digest: Digest


def read_bundle(directory: Path, limits: BundleLimits | None = None) -> Bundle:
    """Check and hash every file. Raises InvalidBundle naming the file that is wrong."""
    limits = limits or BundleLimits()
    paths = sorted(_walk(directory, limits.files))
    if len({path.casefold() for path in paths}) != len(paths):
        raise InvalidBundle("two file names differ only in their case")
    for required in (MANIFEST_FILE, MODEL_FILE):
        if required not in paths:
            raise InvalidBundle("this file is missing", input=required)
    left = limits.total_bytes
    entries: list[FileEntry] = []
    for path in paths:
        entry = _read_entry(directory, path, left)
        left -= entry.size
        entries.append(entry)
    manifest = parse_manifest(_text(directory, MANIFEST_FILE))
    for sample in manifest.samples:
        if sample not in paths:
            raise InvalidBundle("a sample that the manifest names is missing", input=sample)
    files = tuple(entry for entry in entries if entry.path != CARD_FILE)
    card = _text(directory, CARD_FILE) if CARD_FILE in paths else ""
    parse_card(card)
    return Bundle(directory, manifest, files, card, bundle_digest(files))


def bundle_digest(files: Iterable[FileEntry]) -> Digest:
    """The digest of a bundle with these files, in any order; a card among them does not count."""
    rows = sorted([f.path, f.size, f.sha256] for f in files if f.path != CARD_FILE)
    canonical = json.dumps(rows, separators=(",", ":"), ensure_ascii=True)
    return Digest(hashlib.sha256(canonical.encode()).hexdigest())


def valid_path(path: str) -> str:
    """Return `path` if a bundle may have such a file, else raise InvalidBundle."""
    segments = path.split("/")
    if len(segments) > 2 or not all(_SEGMENT.fullmatch(s) for s in segments):
        raise InvalidBundle(
            "file names have letters, digits, '.', '_' and '-', in one directory at most",
            input=path[:200],
        )
    if path not in {MODEL_FILE, MANIFEST_FILE, CARD_FILE}:
        ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 the path is text of the wire
        if ending not in ASSET_ENDINGS:
            allowed = " ".join(sorted(ASSET_ENDINGS))
            raise InvalidBundle(
                f"only {MODEL_FILE}, {MANIFEST_FILE}, {CARD_FILE} and files ending in {allowed} "
                "belong in a bundle",
                input=path,
            )
    return path


@contextmanager
def open_plain(directory: Path, path: str) -> Iterator[BinaryIO]:
    """Open a file of a bundle; no link is followed on the way or at the end.

    Raises InvalidBundle for links (hard ones too), devices, pipes and missing files.
    """
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *parents, name = path.split("/")
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        raise InvalidBundle("not a plain file", input=path) from None
    finally:
        os.close(folder)
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidBundle("not a plain file", input=path)
        if facts.st_nlink != 1:
            raise InvalidBundle("a file with several names (a hard link)", input=path)
        yield file


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _walk(directory: Path, most: int) -> Iterator[str]:
    if not directory.is_dir():
        raise InvalidBundle("not a directory")
    count = 0
    for folder, prefix in _folders(directory):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not prefix:
                    continue
                count += 1
                if count > most:
                    raise InvalidBundle(f"more than {most} files")
                if not entry.is_file(follow_symlinks=False):
                    raise InvalidBundle("not a plain file", input=prefix + entry.name)
                yield valid_path(prefix + entry.name)


def _folders(directory: Path) -> Iterator[tuple[Path, str]]:
    yield directory, ""
    with os.scandir(directory) as entries:
        names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    for name in names:
        if not _SEGMENT.fullmatch(name):
            raise InvalidBundle("an unsafe directory name", input=name)
        yield directory / name, f"{name}/"


def _read_entry(directory: Path, path: str, left: int) -> FileEntry:
    with open_plain(directory, path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > left:
            raise InvalidBundle(
                "the bundle is larger than allowed; this file exceeds it", input=path
            )
        if path == MODEL_FILE:
            check_model_header(file, name=path)
        _refuse_foreign(file, size, path)
        file.seek(0)
        digest, read = hashlib.sha256(), 0
        for chunk in chunks_of(file):
            digest.update(chunk)
            read += len(chunk)
    if read != size:
        raise InvalidBundle("the file changed while it was read", input=path)
    return FileEntry(path=path, size=size, sha256=Digest(digest.hexdigest()))


def _refuse_foreign(file: BinaryIO, size: int, path: str) -> None:
    """Refuse archives, programs and pickles by content: their ending may say anything."""
    file.seek(0)
    head = file.read(512)
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise InvalidBundle(f"this file is {kind}", input=path)
    if head[257:262] == b"ustar":
        raise InvalidBundle("this file is a tar archive", input=path)
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        # Raw weights may begin so by chance; a pickle also ends with its STOP mark.
        file.seek(size - 1)
        if file.read(1) == b".":
            raise InvalidBundle("this file is a Python pickle", input=path)


def _text(directory: Path, path: str) -> str:
    with open_plain(directory, path) as file:
        data = file.read(_TEXT_LIMIT + 1)
    if len(data) > _TEXT_LIMIT:
        raise InvalidBundle(f"more than {_TEXT_LIMIT // 1024} KiB of text", input=path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidBundle("not UTF-8 text", input=path) from None
    if holds_key(text):
        raise InvalidBundle("there is an API key in it; take it out and revoke it", input=path)
    return text
