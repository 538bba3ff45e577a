"""Where training data comes from: a data set is named files with checksums, licence and source.

Data never lives in the repository. `locate` finds a set under a directory that the caller names, or
downloads it from its public source; either way every file is verified before anything reads it.
"""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import InvalidInput, Unavailable

_CHUNK = 1 << 20
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a set: its path below the folder of the set, its checksum, its public address."""

    path: str
    sha256: str
    url: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set as a card must cite it."""

    name: str
    """Folder below the data directory."""
    title: str
    licence: str
    """SPDX identifier, or a plain statement where there is none."""
    source: str
    """Page of the publication, at the commit that was used."""
    attribution: str
    """Whom to credit, in one sentence."""
    files: tuple[SourceFile, ...]


Download = Callable[[str, Path], None]
"""Fetch a URL into a file. Raises OSError."""


def download(url: str, target: Path) -> None:
    """Stream `url` (https only) into `target`."""
    if not url.startswith("https://"):
        raise InvalidInput("data is downloaded over https only", input="url")
    # S310 warns of file: and custom schemes; the line above admits https alone.
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response,  # noqa: S310
        target.open("wb") as out,
    ):
        while chunk := response.read(_CHUNK):
            out.write(chunk)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def locate(dataset: DataSet, data_dir: Path, *, fetch: Download = download) -> Path:
    """The folder of `dataset` below `data_dir`, complete and verified; downloads what is missing.

    Raises InvalidInput for a file whose checksum differs, Unavailable when a missing file cannot be
    downloaded. A file that fails its check is never left under its final name.
    """
    folder = data_dir / dataset.name
    for file in dataset.files:
        path = folder / file.path
        if path.is_file():
            _verify(dataset, file, path)
        else:
            _obtain(dataset, file, path, fetch)
    return folder


def _verify(dataset: DataSet, file: SourceFile, path: Path) -> None:
    if (have := sha256_of(path)) != file.sha256:
        raise InvalidInput(
            f"{dataset.name}/{file.path} is not the published file: "
            f"sha256 {have[:16]}… instead of {file.sha256[:16]}…",
            input="data",
        )


def _obtain(dataset: DataSet, file: SourceFile, path: Path, fetch: Download) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(file.url, partial)
        _verify(dataset, file, partial)
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(
            f"{dataset.name}/{file.path} is not in the data directory and could not be "
            f"downloaded from {file.url} ({reason}); put the file there by hand or name another "
            "directory with --data"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
