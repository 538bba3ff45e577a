"""What the rest of the room needs to know of the installed ONNX Runtime, whichever wheel it is.

Owns the import, the set of exceptions that native code raises, and the correspondence of element
types. All facts below were tried with onnxruntime 1.31.1.
"""

from __future__ import annotations

import ctypes
from typing import Final

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from plaza_core.tensors import DType

RUNTIME: Final = f"onnxruntime {onnxruntime.__version__}"

# Errors derive from Exception one by one and the set differs between wheels, so it is read from
# the module. pybind11 adds the built-in ones; a string that is not UTF-8 is a ValueError.
NATIVE_ERRORS: Final[tuple[type[Exception], ...]] = (
    *(
        value
        for value in vars(_state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ),
    RuntimeError,
    ValueError,
    TypeError,
    MemoryError,
)

DTYPES: Final[dict[str, DType]] = {
    "tensor(bool)": DType.BOOL,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FP16,
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(string)": DType.BYTES,
}
"""ONNX Runtime's name of an element type -> datatype on the wire; others are not served."""


_NO_MEMORY: Final = ("bad_alloc", "allocate memory", "smaller than requested bytes")
"""What the allocator of C++, the system's and an arena with a cap say."""


def out_of_memory(error: Exception) -> bool:
    """Whether a native error says that an allocation failed: limits of a process or an arena."""
    text = str(error)
    return isinstance(error, MemoryError) or any(phrase in text for phrase in _NO_MEMORY)


def return_freed_memory() -> None:
    """Give the allocator's free pages back to the system.

    Opening a model frees as much as its file twice over (the parsed file, the weights before
    packing), which glibc keeps: 157 MB resident for 50 MB of weights, and 50 MB after this call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none and needs none
    if trim is not None:
        trim(0)
