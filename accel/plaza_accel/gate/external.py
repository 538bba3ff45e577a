"""Weights in files beside the model: what a tensor may point at.

ONNX Runtime follows such a reference wherever it leads: hard links, and a location that it reads as
an address in its own memory (`*/_ORT_MEM_ADDR_/*`, onnxruntime/core/framework). So a location is
one of the bundle's own files, letter for letter, and the bytes are inside it.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from plaza_accel.gate.rules import Refused, Rule

_KEYS: Final = frozenset({"location", "offset", "length", "checksum"})
"""Of `TensorProto.external_data` in onnx.proto. Others, such as ONNX Runtime's `prepacked…`, carry
weights in a private layout."""

Entries = Sequence[tuple[str, str]]


def plain_files(directory: Path) -> dict[str, int]:
    """Path in the bundle -> size of every file that is one: no link, no second name, one level."""
    found: dict[str, int] = {}
    for path in (*directory.glob("*"), *directory.glob("*/*")):
        status = path.lstat()
        within = path.parent == directory or not path.parent.is_symlink()
        if within and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            found[path.relative_to(directory).as_posix()] = status.st_size
    return found


def check_reference(entries: Entries, files: Mapping[str, int], needed: int) -> None:
    """Raise Refused unless `entries` name `needed` bytes within one of `files`."""
    named = dict(entries)
    if len(named) != len(entries) or not set(named) <= _KEYS:
        raise Refused(
            Rule.EXTERNAL_KEYS, "a weight outside the model file has an unknown or repeated key"
        )
    size = files.get(named.get("location", ""))
    if size is None:
        raise Refused(
            Rule.EXTERNAL_OUTSIDE,
            "a weight lies outside the model file, in no plain file of the bundle",
        )
    offset = _count(named.get("offset", "0"))
    length = _count(named["length"]) if "length" in named else needed
    if length != needed:
        raise Refused(
            Rule.EXTERNAL_RANGE,
            "a weight outside the model file has another length than its shape declares",
        )
    if offset + length > size:
        raise Refused(
            Rule.EXTERNAL_RANGE, "a weight outside the model file reaches past the end of its file"
        )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise Refused(
            Rule.EXTERNAL_RANGE, "a weight outside the model file has no proper offset or length"
        )
    return int(text)
