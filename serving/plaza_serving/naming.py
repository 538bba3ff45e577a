"""What a caller calls a field that a model's family calls otherwise.

Families know tasks: `texts`, `series`, `image`. An endpoint's dialect has words of its own for
them, and an error that names a field must use these: `input[3]`, `inputs[0].series[7]`, `query`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from plaza_core.errors import PlazaError

Words = Callable[[int | None], str]
"""The caller's name of one of a list, or (None) of all of it."""


def renamed(error: PlazaError, own: str, words: Words) -> PlazaError:
    """`error`, or its like where it names `own`, `own[3]` or something inside of that. The error
    itself may be that of a whole batch, so it stays as it is."""
    found = re.fullmatch(rf"{own}(?:\[(\d{{1,9}})\])?([\[.].*)?", error.input or "")
    if found is None:
        return error
    place, inside = found.groups()
    told = copy.copy(error)
    told.input = words(None if place is None else int(place)) + (inside or "")
    return told


def of_sent(name: str, value: Any) -> Words:
    """Of a field that takes one or a list: `value` is what came."""
    return lambda place: name if place is None or type(value) is not list else f"{name}[{place}]"
