"""What the teacher said, kept beside the data: asking it again would take minutes.

Parts of a few thousand sentences are kept as soon as they are answered, so that a run that was
stopped goes on where it was. A part is found again by the SHA-256 of its sentences and pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from plaza_training.progress import Progress
from plaza_training.text.teacher import Teacher, Vectors

FOLDER = "teacher"
"""Below the data directory."""
_PART = 8_000


def ask(teacher: Teacher, texts: Sequence[str], data_dir: Path, progress: Progress) -> Vectors:
    """The teacher's vectors of `texts`, in half precision as they are kept."""
    folder = data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for first in range(0, len(texts), _PART):
        part = texts[first : first + _PART]
        key = chr(0).join(part)
        found.append(_kept(folder, key, partial(teacher.encode, part, progress)))
    return np.concatenate(found)


def ask_alone(
    teacher: Teacher, pieces: Sequence[int], data_dir: Path, progress: Progress
) -> Vectors:
    """Of each piece as a text of its own."""
    folder = data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    marked = [teacher.marked(piece) for piece in pieces]
    key = f"alone: {','.join(map(str, pieces))}"
    return _kept(folder, key, partial(teacher.encode_pieces, marked, progress))


def _kept(folder: Path, key: str, answer: Callable[[], Vectors]) -> Vectors:
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"
    if not path.is_file():
        fresh = path.with_suffix(".part.npy")
        np.save(fresh, answer().astype(np.float16))
        fresh.replace(path)
    found: Vectors = np.load(path).astype(np.float32)
    return found
