"""How far the exported graph is from the torch module, on real inputs.

The runner is injected: only the room `accel` knows a runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import Array

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest absolute difference over every output of `rows` rows, and the scale it is on."""

    max_abs_error: float
    largest_output: float
    rows: int

    @property
    def relative(self) -> float:
        return self.max_abs_error / max(self.largest_output, 1e-12)

    def require(self, tolerance: float) -> None:
        """Raises InvalidBundle when the difference exceeds `tolerance` of the largest output."""
        if not self.relative <= tolerance:  # also true for NaN
            raise InvalidBundle(
                f"the exported graph differs from the module by {self.max_abs_error:.3g} "
                f"where outputs reach {self.largest_output:.3g}",
                input="model.onnx",
            )


def measure(
    module: nn.Module, outputs: Sequence[str], run: Run, batches: Sequence[Mapping[str, Array]]
) -> Parity:
    """Compare `module` with `run` on every batch."""
    error, largest, rows = 0.0, 0.0, 0
    module.eval()
    for batch in batches:
        with torch.no_grad():
            expected = module(*(torch.from_numpy(array) for array in batch.values()))
        if isinstance(expected, torch.Tensor):
            expected = (expected,)
        actual = run(batch)
        for name, want in zip(outputs, expected, strict=True):
            reference = want.numpy().astype(np.float64)
            # np.maximum keeps a NaN; max() would drop it.
            error = float(np.maximum(error, np.abs(actual[name] - reference).max()))
            largest = float(np.maximum(largest, np.abs(reference).max()))
        rows += len(next(iter(batch.values())))
    return Parity(error, largest, rows)
