"""The labelled sentences that text models learn from, and how their files are read."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from plaza_training.data import DataSet, SourceFile

_BANKING = "PolyAI-LDN/task-specific-datasets"
_BANKING_COMMIT = "57ec275d8078af65b7731c2a98be812d844a6d6b"
_BANKING_RAW = f"https://raw.githubusercontent.com/{_BANKING}/{_BANKING_COMMIT}/banking_data"
_CLINC = "clinc/oos-eval"
_CLINC_COMMIT = "828f8093932c8fe6ca7936c3d2e52903b1c523de"

BANKING77 = DataSet(
    name="nlp-banking77",
    title="BANKING77: customer questions to a bank, 77 intents",
    licence="CC-BY-4.0",
    source=f"https://github.com/{_BANKING}/tree/{_BANKING_COMMIT}/banking_data",
    attribution="Casanueva et al. (2020), PolyAI; used unchanged for training and testing.",
    files=(
        SourceFile(
            path="train.csv",
            sha256="b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
            url=f"{_BANKING_RAW}/train.csv",
        ),
        SourceFile(
            path="test.csv",
            sha256="d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
            url=f"{_BANKING_RAW}/test.csv",
        ),
    ),
)

CLINC150 = DataSet(
    name="nlp-clinc150",
    title="CLINC150: requests to an assistant, 150 intents in 10 domains",
    licence="CC-BY-3.0",
    source=f"https://github.com/{_CLINC}/tree/{_CLINC_COMMIT}",
    attribution="Larson et al. (2019), Clinc; used unchanged for training and testing.",
    files=(
        SourceFile(
            path="data_full.json",
            sha256="36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
            url=f"https://raw.githubusercontent.com/{_CLINC}/{_CLINC_COMMIT}/data/data_full.json",
        ),
    ),
)


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
    """`train` (15,000), `val` (3,000) or `test` (4,500): in-scope requests only."""
    rows = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))[split]
    return Examples(tuple(text for text, _ in rows), tuple(label for _, label in rows))
