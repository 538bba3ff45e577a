"""The graph both text families share: hashed n-grams in, one float32 row per text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import BATCH_AXIS, Array, DType
from plaza_models.tasks import Cut
from plaza_models.text.ngrams import NgramOptions, features

INDICES = "indices"
WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class TextGraph:
    """Inputs `indices` INT64 and `weights` FP32, both (batch, width); one output FP32 (batch, n).

    All axes but `batch` are fixed, so the batcher joins requests by concatenation.
    """

    options: NgramOptions
    output: str
    outputs: int
    """Values per text."""

    @classmethod
    def of(cls, manifest: Manifest, options: NgramOptions) -> TextGraph:
        """Raises InvalidBundle naming the tensor that does not fit."""
        signature = manifest.signature_spec()
        shape = (BATCH_AXIS, options.width)
        have = {s.name: (s.datatype, s.shape) for s in signature.inputs}
        want = {INDICES: (DType.INT64, shape), WEIGHTS: (DType.FP32, shape)}
        if have != want:
            raise InvalidBundle(
                f"the family wants {INDICES} INT64 and {WEIGHTS} FP32, both (batch, "
                f"{options.width})",
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
        return cls(options, answer.name, count)

    def prepare(self, texts: Sequence[str], cut: Cut = "no") -> Prepared:
        """One row per text; `context` is the number of words read."""
        read = features(texts, self.options, cut)
        tensors: dict[str, Array] = {INDICES: read.indices, WEIGHTS: read.weights}
        return Prepared(tensors, rows=len(texts), context=read.words)

    def rows(self, outputs: Mapping[str, Array]) -> Array:
        return outputs[self.output]
