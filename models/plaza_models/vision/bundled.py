"""What a detector reads of its bundle beside the graph: labels, and the letters to draw them with.

Each raises InvalidBundle with `where`, the option that names the file.
"""

from __future__ import annotations

import string
from pathlib import Path

from plaza_core.errors import InvalidBundle
from plaza_models.vision.typeface import Typeface

_MOST_LABELS_BYTES = 1 << 20
_MOST_FONT_BYTES = 8 << 20
_ALSO_DRAWN = string.ascii_letters + string.digits + string.punctuation
"""Scores, and what is said of faults and counts."""


def labels(path: Path, where: str) -> tuple[str, ...]:
    """One per line, without those that are empty."""
    try:
        text = _content(path, _MOST_LABELS_BYTES, where).decode()
    except UnicodeDecodeError:
        raise InvalidBundle("the file of labels is not UTF-8", input=where) from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def typeface(path: Path, letters: str, where: str) -> Typeface:
    """One that has `letters`, and what else a drawn picture says."""
    try:
        found = Typeface(_content(path, _MOST_FONT_BYTES, where))
    except OSError:
        raise InvalidBundle("neither TrueType nor OpenType", input=where) from None
    lost = "".join(sorted(each for each in {*_ALSO_DRAWN, *letters} if not found.has(each)))
    if lost:
        raise InvalidBundle(f"it lacks letters that are drawn: {lost[:50]}", input=where)
    return found


def _content(path: Path, most: int, where: str) -> bytes:
    try:
        if path.stat().st_size > most:
            raise InvalidBundle(f"the file is over {most >> 20} MiB", input=where)
        return path.read_bytes()
    except OSError:
        raise InvalidBundle("no such file in the bundle", input=where) from None
