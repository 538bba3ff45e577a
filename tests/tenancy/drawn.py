"""Properties in two lengths: a few examples with every run of the tests, many for `make prove`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings


def drawn(*strategies: Any, short: int, long: int, **named: Any) -> Callable[[Any], Any]:
    """`given` with `short` examples; the longer one is its attribute `for_long`, to be named in the
    module, because that is where pytest looks."""

    def wrap(body: Callable[..., None]) -> Any:
        def of(examples: int) -> Any:
            return settings(max_examples=examples, deadline=None)(given(*strategies, **named)(body))

        test = of(short)
        test.for_long = pytest.mark.prove(pytest.mark.timeout(1800)(of(long)))
        return test

    return wrap
