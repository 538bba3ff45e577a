"""Family `text.classify`: short texts in, labels with probabilities out.

    texts ─reader─▶ tensors ─▶ model ─▶ logits (batch, labels) ─softmax─▶ Classified

The labels stand in a text file of the bundle, one a line, in the order of the logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import Array
from plaza_models.options import Options
from plaza_models.tasks import Classified, ClassifyTask, Label
from plaza_models.text.encoder import EncoderOptions
from plaza_models.text.graph import Graph
from plaza_models.text.ngrams import NgramOptions
from plaza_models.text.opening import open_graph, options_of
from plaza_models.text.tokens import TokenOptions

_LABELS_LIMIT = 1 << 20
"""Bytes of a label file that are worth reading."""


class _Labelled(Options):
    labels: str = Field(
        default="labels.txt", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="file of labels"
    )


class ClassifyOptions(_Labelled, NgramOptions):
    """`options` of the manifest of a model that reads hashed n-grams."""


class ClassifyTokenOptions(_Labelled, TokenOptions):
    """`options` of the manifest of a model that reads pieces of a vocabulary."""


class ClassifyEncoderOptions(_Labelled, EncoderOptions):
    """`options` of the manifest of a model with attention; where its graph gives the logits
    itself, `pooling` is none."""


@dataclass(frozen=True, slots=True)
class _Asked:
    counts: tuple[int, ...]
    top: int
    raw: bool


class ClassifyFamily:
    """`prepare` takes a ClassifyTask, `interpret` gives a Classified."""

    def __init__(self, graph: Graph, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._graph = graph

    def prepare(self, payload: ClassifyTask) -> Prepared:
        """Raises InvalidInput naming `top_k`, `texts` or `texts[i]`."""
        if payload.top_k < 1:
            raise InvalidInput("ask for at least one label", input="top_k")
        prepared = self._graph.prepare(payload.texts, payload.cut)
        top = min(payload.top_k, len(self.labels))
        return Prepared(
            prepared.tensors, prepared.rows, context=_Asked(prepared.context, top, payload.raw)
        )

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Classified:
        """The best labels of every text; equal scores keep the order of the label file.

        Raises ModelFailed, naming the text, when its logits are not numbers.
        """
        logits = self._graph.rows(outputs, context.counts).astype(np.float64)
        if not (usable := np.isfinite(logits).all(axis=1)).all():
            bad = int(np.flatnonzero(~usable)[0])
            raise ModelFailed("the model's scores are not finite", input=f"texts[{bad}]")
        scores = logits
        if not context.raw:
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : context.top]
        return Classified(
            tuple(
                tuple(Label(self.labels[column], float(row[column])) for column in columns)
                for row, columns in zip(scores, best.tolist(), strict=True)
            )
        )


def open_family(directory: Path, manifest: Manifest) -> ClassifyFamily:
    """Entry point `text.classify`. Raises InvalidBundle when options, labels or graph disagree."""
    options = options_of(manifest, ClassifyEncoderOptions, ClassifyTokenOptions, ClassifyOptions)
    graph = open_graph(directory, manifest, options)
    labels = _read_labels(directory / options.labels)
    if len(labels) != graph.outputs:
        raise InvalidBundle(
            f"the file has {len(labels)} labels and the model gives {graph.outputs} values",
            input="options.labels",
        )
    return ClassifyFamily(graph, labels)


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(_LABELS_LIMIT).splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidBundle("the file of labels cannot be read", input="options.labels") from None
    labels = tuple(line.strip() for line in lines)
    if not all(labels) or len(set(labels)) != len(labels):
        raise InvalidBundle("labels must be unique, one on each line", input="options.labels")
    return labels
