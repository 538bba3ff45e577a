"""What the teacher said, kept beside the data: asking it again would take minutes.

Parts of a few thousand sentences are kept as soon as they are answered, so that a run that was
stopped goes on where it was. A part is found again by the SHA-256 of its sentences and pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
        path = folder / f"{hashlib.sha256(chr(0).join(part).encode()).hexdigest()}.npy"
        if not path.is_file():
            answered = teacher.encode(part, progress).astype(np.float16)
            fresh = path.with_suffix(".part.npy")
            np.save(fresh, answered)
            fresh.replace(path)
        found.append(np.load(path).astype(np.float32))
    return np.concatenate(found)
