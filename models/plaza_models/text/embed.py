"""Family `text.embed`: short texts in, vectors out, of length 1 unless asked otherwise.

    texts ─reader─▶ tensors ─▶ model ─▶ rows (batch, dimension) ─normalise─▶ Embedded

A static embedder has a vector for every feature (a piece of the bundle's vocabulary, or a hashed
n-gram) and a text is their weighted sum: no attention, no word order beyond the features, and a
text costs microseconds. An encoder has attention, and a text costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from plaza_core.errors import ModelFailed
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.tasks import Embedded, EmbedTask
from plaza_models.text.encoder import EncoderOptions
from plaza_models.text.graph import Graph
from plaza_models.text.ngrams import NgramOptions
from plaza_models.text.opening import open_graph, options_of
from plaza_models.text.tokens import TokenOptions


class EmbedOptions(NgramOptions):
    """`options` of the manifest of a model that reads hashed n-grams: theirs, nothing more."""


class EmbedTokenOptions(TokenOptions):
    """`options` of the manifest of a model that reads pieces: the tokeniser's, nothing more."""


class EmbedEncoderOptions(EncoderOptions):
    """`options` of the manifest of a model with attention."""

    normalise: bool = Field(
        default=True,
        description="false: vectors keep the length that the model gives them, whoever asks",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    counts: tuple[int, ...]
    normalise: bool


class EmbedFamily:
    """`prepare` takes an EmbedTask, `interpret` gives an Embedded."""

    def __init__(self, graph: Graph, *, normalise: bool = True) -> None:
        self.dimension = graph.outputs
        self._graph = graph
        self._normalise = normalise

    def prepare(self, payload: EmbedTask) -> Prepared:
        """Raises InvalidInput naming `texts` or `texts[i]`."""
        prepared = self._graph.prepare(payload.texts, payload.cut)
        asked = _Asked(prepared.context, payload.normalise and self._normalise)
        return Prepared(prepared.tensors, prepared.rows, context=asked)

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Embedded:
        """Raises ModelFailed, naming the text, for a row without a direction."""
        rows = self._graph.rows(outputs, context.counts).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (usable := np.isfinite(lengths) & (lengths > 0)).all():
            bad = int(np.flatnonzero(~usable)[0])
            raise ModelFailed("the model gave no direction for this text", input=f"texts[{bad}]")
        if context.normalise:
            rows /= lengths
        return Embedded(rows.astype(np.float32), tokens=sum(context.counts))


def open_family(directory: Path, manifest: Manifest) -> EmbedFamily:
    """Entry point `text.embed`. Raises InvalidBundle when options, tokeniser and graph disagree."""
    options = options_of(manifest, EmbedEncoderOptions, EmbedTokenOptions, EmbedOptions)
    return EmbedFamily(
        open_graph(directory, manifest, options),
        normalise=not isinstance(options, EmbedEncoderOptions) or options.normalise,
    )
