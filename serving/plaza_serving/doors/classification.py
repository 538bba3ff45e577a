"""The classification extension: the best entries of an output as texts `value:index[:label]`.

Source: Triton, `extension_classification.md`. An output of a model that joins rows gives (rows, k)
texts, another one (k,). More than there are entries gives all of them. Values are written with six
places after the point, as Triton writes them, or as integers. NaN is never among the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plaza_core.errors import InvalidTensor
from plaza_core.tensors import Array, DType, Signature

_UNORDERED = frozenset({DType.BOOL, DType.BYTES})


def check(signature: Signature, wanted: Mapping[str, int]) -> None:
    """Raises InvalidTensor for an output without an order. The names are known to exist."""
    for spec in signature.outputs:
        if spec.name in wanted and spec.datatype in _UNORDERED:
            raise InvalidTensor(f"{spec.datatype} has no order to classify by", input=spec.name)


def classified(array: Array, most: int, labels: tuple[str, ...], *, batched: bool) -> Array:
    """BYTES of the `most` greatest entries, of each row if `batched`. Labels are used where there
    is one for each entry; of equal entries the first comes first."""
    rows = array.reshape(len(array), -1) if batched and array.ndim else array.reshape(1, -1)
    named = labels if len(labels) == rows.shape[1] else ()
    texts = np.empty((len(rows), min(most, rows.shape[1])), object)
    for at, row in enumerate(rows):
        best = _best(row, texts.shape[1])
        texts[at] = [_text(row[index], index, named) for index in best.tolist()]
    return texts if batched and array.ndim else texts[0]


def _best(row: Array, most: int) -> Array:
    """Positions of the greatest entries, the greatest first."""
    if row.dtype.kind == "u":
        return np.argsort(row.max(initial=0) - row, kind="stable")[:most]
    # ~x is -x - 1 without the overflow of the least integer; NaN sorts behind everything.
    return np.argsort(~row if row.dtype.kind == "i" else -row, kind="stable")[:most]


def _text(value: Any, index: int, labels: tuple[str, ...]) -> bytes:
    shown = f"{value:f}" if np.issubdtype(type(value), np.floating) else str(value)
    label = f":{labels[index]}" if labels else ""
    return f"{shown}:{index}{label}".encode()
