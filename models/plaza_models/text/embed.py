"""Family `text.embed`: short texts in, vectors out, of length 1 unless asked otherwise.

    texts ─reader─▶ indices, weights ─▶ model ─▶ rows (batch, dimension) ─normalise─▶ Embedded

A static embedder: every feature (a piece of the bundle's vocabulary, or a hashed n-gram) has a
vector of its own and a text is their weighted sum, so there is no attention and no word order
beyond the features, and a text costs microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plaza_core.errors import ModelFailed
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.options import read_options
from plaza_models.tasks import Embedded, EmbedTask
from plaza_models.text.graph import TextGraph
from plaza_models.text.ngrams import NgramOptions, NgramReader
from plaza_models.text.tokens import TokenOptions, TokenReader


class EmbedOptions(NgramOptions):
    """`options` of the manifest of a model that reads hashed n-grams: theirs, nothing more."""


class EmbedTokenOptions(TokenOptions):
    """`options` of the manifest of a model that reads pieces: the tokeniser's, nothing more."""


@dataclass(frozen=True, slots=True)
class _Asked:
    words: int
    normalise: bool


class EmbedFamily:
    """`prepare` takes an EmbedTask, `interpret` gives an Embedded."""

    def __init__(self, graph: TextGraph) -> None:
        self.dimension = graph.outputs
        self._graph = graph

    def prepare(self, payload: EmbedTask) -> Prepared:
        """Raises InvalidInput naming `texts` or `texts[i]`."""
        prepared = self._graph.prepare(payload.texts, payload.cut)
        asked = _Asked(prepared.context, payload.normalise)
        return Prepared(prepared.tensors, prepared.rows, context=asked)

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Embedded:
        """Raises ModelFailed, naming the text, for a row without a direction."""
        rows = self._graph.rows(outputs).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (usable := np.isfinite(lengths) & (lengths > 0)).all():
            bad = int(np.flatnonzero(~usable)[0])
            raise ModelFailed("the model gave no direction for this text", input=f"texts[{bad}]")
        if context.normalise:
            rows /= lengths
        return Embedded(rows.astype(np.float32), tokens=context.words)


def open_family(directory: Path, manifest: Manifest) -> EmbedFamily:
    """Entry point `text.embed`. Raises InvalidBundle when options, tokeniser and graph disagree."""
    if "tokenizer" in manifest.options:
        chosen = read_options(EmbedTokenOptions, manifest.options)
        return EmbedFamily(TextGraph.of(manifest, TokenReader.open(directory, chosen)))
    options = read_options(EmbedOptions, manifest.options)
    return EmbedFamily(TextGraph.of(manifest, NgramReader(options)))
