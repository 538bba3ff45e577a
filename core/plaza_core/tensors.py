"""Tensors at the border: datatypes of the Open Inference Protocol, specs, and their checks.

Source: Open Inference Protocol v2, "Tensor Data Types". BYTES travels as numpy object arrays of
`bytes`. Owns the rule that a check names the offending tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidTensor

Array = NDArray[Any]
Dim = int | str
"""A fixed size, or the name of a variable axis. The batcher may join along the axis `batch`."""

BATCH_AXIS = "batch"


class DType(StrEnum):
    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


NUMPY: dict[DType, np.dtype[Any]] = {
    DType.BOOL: np.dtype(np.bool_),
    DType.UINT8: np.dtype(np.uint8),
    DType.UINT16: np.dtype("<u2"),
    DType.UINT32: np.dtype("<u4"),
    DType.UINT64: np.dtype("<u8"),
    DType.INT8: np.dtype(np.int8),
    DType.INT16: np.dtype("<i2"),
    DType.INT32: np.dtype("<i4"),
    DType.INT64: np.dtype("<i8"),
    DType.FP16: np.dtype("<f2"),
    DType.FP32: np.dtype("<f4"),
    DType.FP64: np.dtype("<f8"),
    DType.BYTES: np.dtype(object),
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    name: str
    datatype: DType
    shape: tuple[Dim, ...]

    @property
    def batched(self) -> bool:
        return bool(self.shape) and self.shape[0] == BATCH_AXIS

    def wire_shape(self) -> list[int]:
        """The shape with -1 for each variable axis, as the protocol's metadata shows it."""
        return [d if isinstance(d, int) else -1 for d in self.shape]

    def check(self, array: Array) -> None:
        """Raise InvalidTensor, naming this tensor, unless `array` has the datatype and shape."""
        if array.dtype != NUMPY[self.datatype]:
            raise InvalidTensor(f"expected datatype {self.datatype}", input=self.name)
        if array.ndim != len(self.shape):
            raise InvalidTensor(
                f"expected {len(self.shape)} dimensions, got {array.ndim}", input=self.name
            )
        for axis, (want, have) in enumerate(zip(self.shape, array.shape, strict=True)):
            if isinstance(want, int) and want != have:
                raise InvalidTensor(f"dimension {axis} must be {want}, got {have}", input=self.name)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, in graph order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """True when every tensor has the leading variable axis `batch`."""
        return all(s.batched for s in (*self.inputs, *self.outputs))

    def check(self, tensors: dict[str, Array]) -> int:
        """Check a whole set of inputs; return its rows (1 for a model without a batch axis).

        Raises InvalidTensor naming the first missing, unknown or ill-shaped tensor, or the tensor
        whose variable axis disagrees with an earlier one of the same axis name.
        """
        axes: dict[str, int] = {}
        for spec in self.inputs:
            array = tensors.get(spec.name)
            if array is None:
                self._refuse_unknown(tensors)
                raise InvalidTensor("this input is missing", input=spec.name)
        if len(tensors) > len(self.inputs):
            self._refuse_unknown(tensors)
        for spec in self.inputs:
            array = tensors[spec.name]
            spec.check(array)
            for dim, have in zip(spec.shape, array.shape, strict=True):
                if type(dim) is str and axes.setdefault(dim, have) != have:
                    raise InvalidTensor(
                        f"axis '{dim}' is {have} here and {axes[dim]} in another input",
                        input=spec.name,
                    )
        rows = axes.get(BATCH_AXIS, 1)
        if rows == 0:
            raise InvalidTensor("the batch has no rows", input=self.inputs[0].name)
        return rows

    def _refuse_unknown(self, tensors: Iterable[str]) -> None:
        known = {spec.name for spec in self.inputs}
        for name in tensors:
            if name not in known:
                raise InvalidTensor("the model has no such input", input=name)
