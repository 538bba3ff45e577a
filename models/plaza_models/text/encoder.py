"""Graphs with attention, as encoders of text are exported: marked pieces in, one row out per text.

    texts ─tokenizer.json─▶ [CLS] pieces [SEP] ─▶ ids, mask, types ─▶ model ─▶ states ─▶ rows

How they are called is for the bundle's options to say; the names of the usual exporters need not be
said. What a text is shorter than the longest, or than the declared size that it is run at, has id
0, type 0 and mask 0: the model must mask it, which is tried when the bundle is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import BATCH_AXIS, NUMPY, Array, Dim, DType, TensorSpec
from plaza_models.tasks import Cut
from plaza_models.text.graph import width_of
from plaza_models.text.tokens import TokenOptions, TokenReader

_NAME = r"^[^\x00-\x1f]{1,256}$"
_INTEGERS = (DType.INT64, DType.INT32)


class EncoderOptions(TokenOptions):
    """How text becomes marked pieces, and how the model's states become one row."""

    pooling: Literal["mean", "cls", "last", "none"] = Field(
        description="of the states of all pieces: their mean, the first or the last one; "
        "none: the model gives one row itself"
    )
    ids: str = Field(default="input_ids", pattern=_NAME, description="input: numbers of pieces")
    mask: str = Field(default="attention_mask", pattern=_NAME, description="input: 1 for a piece")
    types: str = Field(
        default="token_type_ids", pattern=_NAME, description="input: zeros, if there is such a one"
    )


@dataclass(frozen=True, slots=True)
class EncoderGraph:
    """Inputs INT64 or INT32 (batch, width); one output FP32 (batch, width, n), or (batch, n) where
    the model pools. `width` as in `TextGraph`."""

    reader: TokenReader
    options: EncoderOptions
    inputs: Mapping[str, DType]
    narrow: bool
    output: str
    outputs: int
    """Values per text."""

    @classmethod
    def of(cls, manifest: Manifest, reader: TokenReader, options: EncoderOptions) -> EncoderGraph:
        """Raises InvalidBundle naming the tensor that does not fit."""
        signature = manifest.signature_spec()
        have = {spec.name: spec for spec in signature.inputs}
        wanted = {options.ids, options.mask, options.types}
        if not {options.ids, options.mask} <= set(have) <= wanted or len(wanted) != 3:
            raise InvalidBundle(
                f"the family wants the inputs {options.ids} and {options.mask}, may have "
                f"{options.types}, and can give no other; options ids, mask and types name them",
                input="signature.inputs",
            )
        width = width_of(manifest, options.ids, reader.width)
        for spec in signature.inputs:
            if spec.datatype not in _INTEGERS or spec.shape != (BATCH_AXIS, width):
                raise InvalidBundle("this must be INT64 or INT32 (batch, width)", input=spec.name)
        if len(signature.outputs) != 1:
            raise InvalidBundle(
                "the family wants one output; a manifest need not name all that a graph has",
                input="signature.outputs",
            )
        (answer,) = signature.outputs
        return cls(
            reader,
            options,
            {name: spec.datatype for name, spec in have.items()},
            isinstance(width, str),
            answer.name,
            _values(answer, width, options),
        )

    def prepare(self, texts: Sequence[str], cut: Cut = "no") -> Prepared:
        """One row per text; `context` says how many pieces each has, marks included."""
        rows = self.reader.rows(texts, cut)
        counts = tuple(map(len, rows))
        ids, mask = filled(rows, max(counts) if self.narrow else self.reader.width)
        values = {self.options.ids: ids, self.options.mask: mask}
        tensors = {
            name: values[name].astype(NUMPY[kind], copy=False)
            if name in values
            else np.zeros(ids.shape, NUMPY[kind])
            for name, kind in self.inputs.items()
        }
        return Prepared(tensors, rows=len(rows), context=counts)

    def rows(self, outputs: Mapping[str, Array], counts: Sequence[int]) -> Array:
        """(texts, n)"""
        states = outputs[self.output]
        pooling = self.options.pooling
        if pooling == "none":
            return states
        if pooling == "cls":
            return states[:, 0]
        pieces = np.asarray(counts)
        if pooling == "last":
            found: Array = states[np.arange(len(states)), pieces - 1]
            return found
        seen = np.arange(states.shape[1]) < pieces[:, None]
        mean: Array = np.einsum("nwd,nw->nd", states, seen.astype(np.float32)) / pieces[:, None]
        return mean


def filled(rows: Sequence[Sequence[int]], width: int) -> tuple[Array, Array]:
    """(rows, width) int64: the numbers of the pieces, and 1 where there is one."""
    ids = np.zeros((len(rows), width), np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def _values(answer: TensorSpec, width: Dim, options: EncoderOptions) -> int:
    """The last axis of the output, the others being as the pooling needs them."""
    pooled = options.pooling == "none"
    before = (BATCH_AXIS,) if pooled else (BATCH_AXIS, width)
    if answer.datatype is not DType.FP32 or answer.shape[:-1] != before:
        raise InvalidBundle(
            f"with pooling '{options.pooling}' this must be FP32 "
            f"({', '.join(map(str, before))}, n)",
            input=answer.name,
        )
    count = answer.shape[-1]
    if not isinstance(count, int):
        raise InvalidBundle("the values per text must be a fixed number", input=answer.name)
    return count
