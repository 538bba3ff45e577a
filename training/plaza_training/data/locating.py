"""From a set and a directory to a folder in which every file is the published one.

`locate` finds the files under the directory that a caller names, or downloads what is missing from
its public source; either way each is verified before anything reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError

from plaza_training.data.dataset import DataSet, SourceFile
from plaza_training.data.errors import DataChanged, DataMissing, DataUnreachable
from plaza_training.data.fetching import CHUNK, Download, Fetcher, alone
from plaza_training.progress import Progress, Silent

_READ = 1 << 20


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest()


def locate(
    dataset: DataSet,
    data_dir: Path,
    *,
    only: Collection[str] | None = None,
    fetch: Download | None = None,
    progress: Progress | None = None,
) -> Path:
    """The folder of `dataset` below `data_dir` with all its files, or `only` those of these paths,
    present and verified; downloads what is missing.

    Raises DataChanged for a file whose checksum differs, DataMissing for one that is nowhere to be
    had, DataUnreachable when a download fails. A file that fails its check is never left under its
    final name.
    """
    folder = data_dir / dataset.name
    wanted = [file for file in dataset.files if only is None or file.path in only]
    missing = [file for file in wanted if not _verified(dataset, file, folder)]
    if public := [file for file in missing if file.url]:
        steps = sum(max(1, -(-file.bytes // CHUNK)) for file in public)
        arriving = _obtain_all(dataset, public, folder, fetch or Fetcher())
        for _ in (progress or Silent()).track(arriving, f"{dataset.name}: 64 kB parts", steps):
            pass
    if lost := [file for file in missing if not file.url]:
        others = f" (nor are {len(lost) - 1} others)" if lost[1:] else ""
        raise DataMissing(
            f"{dataset.name}/{lost[0].path} is not in the data directory{others}, and is published "
            f"nowhere in this form; the set was made from {dataset.source}",
            input="data",
        )
    return folder


def verify(dataset: DataSet, data_dir: Path) -> list[str]:
    """What is wrong, a line per file; nothing when all files are there and are the published ones.
    Downloads nothing."""
    problems = []
    for file in dataset.files:
        try:
            if not _verified(dataset, file, data_dir / dataset.name):
                problems.append(f"{dataset.name}/{file.path} is not there")
        except DataChanged as error:
            problems.append(error.message)
    return problems


def _verified(dataset: DataSet, file: SourceFile, folder: Path) -> bool:
    """Whether the file is there. Raises DataChanged when it is another one."""
    path = folder / file.path
    if not path.is_file():
        return False
    _check(dataset, file, path)
    return True


def _check(dataset: DataSet, file: SourceFile, path: Path) -> None:
    if (have := sha256_of(path)) != file.sha256:
        raise DataChanged(
            f"{dataset.name}/{file.path} is not the published file: "
            f"sha256 {have[:16]}… instead of {file.sha256[:16]}…",
            input="data",
        )


def _obtain_all(
    dataset: DataSet, missing: Sequence[SourceFile], folder: Path, fetch: Download
) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        for file in missing:
            if _verified(dataset, file, folder):
                continue  # by the process that was waited for
            try:
                yield from _obtain(dataset, file, folder / file.path, fetch)
            except OSError as error:
                said = f"{error.code} {error.reason}" if isinstance(error, HTTPError) else error
                raise DataUnreachable(
                    f"{dataset.name}/{file.path} is not in the data directory and could not be "
                    f"downloaded from {file.url} ({said}); put the file there by hand or name "
                    "another directory with --data"
                ) from error


def _obtain(dataset: DataSet, file: SourceFile, path: Path, fetch: Download) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        yield from fetch(file, partial)
        _check(dataset, file, partial)
    except DataChanged:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
