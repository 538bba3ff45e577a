"""The labelled sentences that text models learn from, and how their files are read."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts with the names of their intents, in file order."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, labels: frozenset[str]) -> Examples:
        """Those whose label is among `labels`."""
        kept = [pair for pair in zip(self.texts, self.labels, strict=True) if pair[1] in labels]
        return Examples(tuple(text for text, _ in kept), tuple(label for _, label in kept))


def read_banking(folder: Path, split: str) -> Examples:
    """`train` (10,003) or `test` (3,080)."""
    with (folder / f"{split}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Examples(tuple(r["text"] for r in rows), tuple(r["category"] for r in rows))


def read_clinc(folder: Path, split: str) -> Examples:
    """`train` (15,000), `val` (3,000), `test` (4,500): requests in scope, 150 intents; and
    `oos_train` (100), `oos_val` (100), `oos_test` (1,000): requests out of scope."""
    rows = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))[split]
    return Examples(tuple(text for text, _ in rows), tuple(label for _, label in rows))
