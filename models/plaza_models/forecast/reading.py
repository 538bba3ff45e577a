"""What a caller sent, as arrays: finite numbers, gaps filled where that is allowed, covariates as
long as the model reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidInput


def numbers(series: Sequence[float | None], where: str, *, fill: bool) -> NDArray[np.float64]:
    """One series. Raises InvalidInput naming the field, and the place of what is not finite.

    `fill`: what is None or not a number lies on the line between its neighbours, and before the
    first and after the last value is like them. At least one value must be there.
    """
    try:
        array = np.array(series, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("values must be numbers", input=where) from None
    if array.ndim != 1:
        raise InvalidInput("values must be one flat list of numbers", input=where)
    if fill:
        array = _filled(array)
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        missing = np.isnan(array[bad])
        said = "a value is missing that the model needs" if missing else "values must be finite"
        raise InvalidInput(said, input=f"{where}[{bad}]")
    return array


def _filled(array: NDArray[np.float64]) -> NDArray[np.float64]:
    there = ~np.isnan(array)
    if there.all() or not there.any():
        return array
    return np.interp(np.arange(len(array)), np.flatnonzero(there), array[there])


def covariates(
    rows: Sequence[Sequence[float]], names: Sequence[str], context: int, asked: int, horizon: int
) -> NDArray[np.float32]:
    """(covariates, context + horizon). Each row begins where the context does and reaches at least
    the `asked` steps ahead; what lies beyond it, up to the model's `horizon`, is like its last
    value. Raises InvalidInput."""
    if len(rows) != len(names):
        raise InvalidInput(f"the model wants {', '.join(names)}: a row each", input="known")
    found = []
    for at, row in enumerate(rows):
        values = numbers(row, f"known[{at}]", fill=False)
        if not context + asked <= len(values) <= context + horizon:
            raise InvalidInput(
                f"'{names[at]}' needs at least {context + asked} and at most {context + horizon} "
                f"values: over the model's context of {context} and the steps ahead; got "
                f"{len(values)}",
                input=f"known[{at}]",
            )
        beyond = np.full(context + horizon - len(values), values[-1])
        found.append(np.concatenate((values, beyond)))
    return np.stack(found).astype(np.float32)
