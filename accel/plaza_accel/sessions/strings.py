"""BYTES at the border of ONNX Runtime, whose strings are UTF-8 text.

Its Python binding turns a `bytes` object into the text of its repr ("b'abc'") without an error,
and fails on bytes that are not UTF-8 on the way out; both are met here.
"""

from __future__ import annotations

import numpy as np

from plaza_core.errors import InvalidTensor, ModelFailed
from plaza_core.tensors import Array


def to_text(name: str, array: Array) -> Array:
    """Object array of `bytes` -> object array of `str`. Raises InvalidTensor."""
    text = np.empty(array.shape, dtype=object)
    try:
        text.reshape(-1)[:] = [item.decode() for item in array.flat]
    except UnicodeDecodeError:
        raise InvalidTensor("ONNX strings are UTF-8; these bytes are not", input=name) from None
    except AttributeError:
        raise InvalidTensor("every element of a BYTES tensor must be bytes", input=name) from None
    return text


def to_bytes(array: Array) -> Array:
    """Object array of `str` -> object array of `bytes`."""
    data = np.empty(array.shape, dtype=object)
    try:
        data.reshape(-1)[:] = [item.encode() for item in array.flat]
    except UnicodeEncodeError:
        raise ModelFailed("the model gave text that cannot be encoded") from None
    return data
