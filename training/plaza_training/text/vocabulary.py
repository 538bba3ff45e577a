"""The teacher's vocabulary as the pupil reads it: a tokeniser file of its own, without what a sum
of vectors has no use for (marks at the ends, masks, places kept free)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plaza_models.text.tokens import TokenOptions, TokenReader

TOKENIZER_FILE = "tokenizer.json"
UNKNOWN = "[UNK]"
_ADDED = ("truncation", "padding", "post_processor")


def without_marks(tokenizer: bytes) -> tuple[bytes, tuple[int, ...]]:
    """A smaller tokeniser file, and for each of its pieces the number it had before."""
    said: dict[str, Any] = json.loads(tokenizer)
    before: dict[str, int] = said["model"]["vocab"]
    marks = {entry["content"] for entry in said["added_tokens"]} - {UNKNOWN}
    kept = sorted(
        (number, piece)
        for piece, number in before.items()
        if piece not in marks and not piece.startswith("[unused")
    )
    said["model"]["vocab"] = {piece: place for place, (_, piece) in enumerate(kept)}
    said["added_tokens"] = []
    for name in _ADDED:
        said[name] = None
    content = json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"
    return content.encode(), tuple(number for number, _ in kept)


def open_reader(
    directory: Path, options: TokenOptions, tokenizer: bytes, *, marks: bool = False
) -> TokenReader:
    """The reader that will serve, over the file that will ship."""
    (directory / options.tokenizer).write_bytes(tokenizer)
    return TokenReader.open(directory, options, marks=marks)


def pieces_of(reader: TokenReader, texts: Sequence[str]) -> list[list[int]]:
    return [reader.pieces(text) for text in texts]
