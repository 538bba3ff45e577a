"""The graph both text families share: features of a text in, one float32 row per text out.

What the features are is for the reader of the bundle: hashed n-grams, or pieces of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import BATCH_AXIS, Array, Dim, DType
from plaza_models.tasks import Cut
from plaza_models.text.ngrams import Features

INDICES = "indices"
WEIGHTS = "weights"


class Graph(Protocol):
    """Texts to the tensors of a graph, and what it gives to one row for each text."""

    @property
    def outputs(self) -> int:
        """Values per text."""

    def prepare(self, texts: Sequence[str], cut: Cut = "no") -> Prepared:
        """One row per text; `context` says how many words or pieces were read of each. Raises
        InvalidInput naming the text."""

    def rows(self, outputs: Mapping[str, Array], counts: Sequence[int]) -> Array:
        """(texts, values); `counts` is the context that `prepare` gave."""


class Reader(Protocol):
    """How a text becomes features."""

    width: int
    """Features that a text may have at most."""

    def read(self, texts: Sequence[str], cut: Cut, *, narrow: bool) -> Features:
        """One row per text, `narrow`: no wider than needed. Raises InvalidInput naming the text."""


@dataclass(frozen=True, slots=True)
class TextGraph:
    """Inputs `indices` INT64 and `weights` FP32, both (batch, width); one output FP32 (batch, n).

    `width` is the option of that name, or a variable axis: then a request is as wide as its longest
    text needs, and how wide it may be is for the bundle's `buckets` to say.
    """

    reader: Reader
    narrow: bool
    output: str
    outputs: int
    """Values per text."""

    @classmethod
    def of(cls, manifest: Manifest, reader: Reader) -> TextGraph:
        """Raises InvalidBundle naming the tensor that does not fit."""
        signature = manifest.signature_spec()
        have = {s.name: (s.datatype, s.shape) for s in signature.inputs}
        width = width_of(manifest, INDICES, reader.width)
        shape = (BATCH_AXIS, width)
        want = {INDICES: (DType.INT64, shape), WEIGHTS: (DType.FP32, shape)}
        if have != want:
            raise InvalidBundle(
                f"the family wants {INDICES} INT64 and {WEIGHTS} FP32, both (batch, "
                f"{reader.width})",
                input="signature.inputs",
            )
        if len(signature.outputs) != 1:
            raise InvalidBundle("the family wants one output", input="signature.outputs")
        answer = signature.outputs[0]
        if answer.datatype is not DType.FP32 or len(answer.shape) != 2 or not answer.batched:
            raise InvalidBundle("this must be FP32 (batch, n)", input=answer.name)
        count = answer.shape[1]
        if not isinstance(count, int):
            raise InvalidBundle("the values per text must be a fixed number", input=answer.name)
        return cls(reader, isinstance(width, str), answer.name, count)

    def prepare(self, texts: Sequence[str], cut: Cut = "no") -> Prepared:
        """As `Graph`."""
        read = self.reader.read(texts, cut, narrow=self.narrow)
        tensors: dict[str, Array] = {INDICES: read.indices, WEIGHTS: read.weights}
        return Prepared(tensors, rows=len(texts), context=read.counts)

    def rows(self, outputs: Mapping[str, Array], counts: Sequence[int]) -> Array:
        """As `Graph`."""
        return outputs[self.output]


def width_of(manifest: Manifest, name: str, width: int) -> Dim:
    """The second axis of the input `name`, where it is variable; else `width`, what the options
    say. Raises InvalidBundle where no declared size of the axis holds `width`."""
    entry = next((e for e in manifest.signature.inputs if e.name == name), None)
    axis = entry.shape[1] if entry is not None and len(entry.shape) > 1 else width
    if not isinstance(axis, str):
        return width
    sizes = manifest.buckets.get(axis)
    if sizes is None or sizes[-1] < width:
        raise InvalidBundle(
            f"say sizes for the axis '{axis}', the last of them at least options.width, {width}",
            input="buckets",
        )
    return axis
