"""Do two answers to the same request say the same? Of a shadow's answer and the given one.

    integers, labels, flags, bytes   equal
    real numbers                     within `tolerance` × the larger of the two, or of the typical
                                     size (root mean square) of the array they stand in
    arrays                           same shape, and each number as above; NaN only equals NaN
    answers of families              walked field by field, same type, same length, same keys

A list is compared in its order, unless the family has declared with `metadata={"order": False}` on
the field of its answer that the order says nothing, as detections do; then each item must have a
partner of its own. Whatever is not understood, and every difference of shape, is a disagreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from plaza_core.inference import Outcome
from plaza_core.tensors import Array

_MOST_UNORDERED = 1000
_REAL = (float, np.floating)
_WHOLE = (int, np.integer)


def agree(given: Outcome, other: Outcome, tolerance: float) -> bool:
    """Whether `other` says what `given` says. Takes as long as reading both: not on a loop."""
    with np.errstate(all="ignore"):
        if given.answer is None and other.answer is None:
            return _mappings(given.tensors, other.tensors, tolerance)
        return _same(given.answer, other.answer, tolerance)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    """Any two values of answers."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return _arrays(one, other, tolerance)
    if is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and _fields(one, other, tolerance)
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and _mappings(one, other, tolerance)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and _lists(one, other, tolerance)
    if _is_number(one) and _is_number(other):
        return _arrays(np.asarray(one), np.asarray(other), tolerance)
    return type(one) is type(other) and bool(one == other)


def _fields(one: Any, other: Any, tolerance: float) -> bool:
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        ordered = field.metadata.get("order", True)
        if not (_same if ordered else _partners)(mine, theirs, tolerance):
            return False
    return True


def _mappings(one: Mapping[Any, Any], other: Mapping[Any, Any], tolerance: float) -> bool:
    return one.keys() == other.keys() and all(
        _same(value, other[name], tolerance) for name, value in one.items()
    )


def _lists(one: Sequence[Any], other: Sequence[Any], tolerance: float) -> bool:
    if len(one) != len(other):
        return False
    if all(map(_is_number, one)) and all(map(_is_number, other)):
        return _arrays(np.asarray(one), np.asarray(other), tolerance)
    return all(_same(a, b, tolerance) for a, b in zip(one, other, strict=True))


def _partners(one: Any, other: Any, tolerance: float) -> bool:
    """Each item of one list has a partner in the other, in any order.

    Mostly the order is the same, so the search for a partner begins at the same place.
    """
    if not isinstance(one, list | tuple) or not isinstance(other, list | tuple):
        return _same(one, other, tolerance)
    if len(one) != len(other):
        return False
    if len(one) > _MOST_UNORDERED:
        return _lists(one, other, tolerance)
    left = list(other)
    for item in one:
        at = next((n for n, each in enumerate(left) if _same(item, each, tolerance)), None)
        if at is None:
            return False
        del left[at]
    return True


def _arrays(one: Array, other: Array, tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f" and other.dtype.kind != "f":
        return one.dtype.kind == other.dtype.kind and bool(np.array_equal(one, other))
    if not {one.dtype.kind, other.dtype.kind} <= set("fiu"):
        return False
    a, b = one.astype(np.float64), other.astype(np.float64)
    even = (a == b) | (np.isnan(a) & np.isnan(b))
    if even.all():
        return True
    finite = a[np.isfinite(a)]
    typical = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    allowed = tolerance * np.maximum(np.maximum(np.abs(a), np.abs(b)), typical)
    near = np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) <= allowed)
    return bool((even | near).all())


def _is_number(value: Any) -> bool:
    return isinstance(value, (*_REAL, *_WHOLE)) and not isinstance(value, bool | np.bool_)
