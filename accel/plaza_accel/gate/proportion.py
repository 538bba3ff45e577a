"""How much time and memory an examination may take: in proportion to what its sender had to send.

Hostile files are small and want much. What takes an honest model long to read was long to upload.
Imports nothing heavy: the parent works this out before there is a child.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from plaza_accel.gate.external import plain_files
from plaza_core.manifest import Manifest
from plaza_core.tensors import NUMPY, Signature, TensorSpec

_MB: Final = 1 << 20
LEAST_CPU_S: Final = 5.0
"""Of which the start of the libraries takes half of one, on a busy machine two."""
_WALL: Final = 1.6
"""Wall time in units of processor time."""
_BUSY: Final = 3.0
"""Likewise, with the time that it was ready to run and had no processor (`process`)."""
_BYTES_PER_CPU_S: Final = 16 * _MB
_PEAK_BYTES: Final = 256 * _MB
"""The runtime's libraries and arenas: 60 MB measured with a model of one node."""
_PEAK_FILES: Final = 8
"""Peak in units of a bundle's bytes; 3 to 4 are seen: the checker and the runtime each parse."""
_PEAK_BORDER: Final = 64
"""Peak in units of one row's inputs and outputs, for the activations between."""
_ADDRESSES: Final = 768 * _MB
"""Address space that is never resident: libraries, stacks, arenas of the allocator."""


@dataclass(frozen=True, slots=True)
class Allowance:
    wall_seconds: float
    busy_seconds: float
    """Wall time on a machine that is busy with others."""
    cpu_seconds: int
    memory_bytes: int
    """Address space of the child."""
    peak_bytes: int
    """Resident growth while the model is opened and run."""


def most(wall_seconds: float, memory_mb: int) -> Allowance:
    """What no bundle exceeds; for providers whose libraries alone take gigabytes and seconds."""
    memory = memory_mb * _MB
    return Allowance(wall_seconds, wall_seconds, ceil(wall_seconds), memory, memory)


def allowance(
    directory: Path, manifest: Manifest, limit: Allowance, least_cpu_s: float = LEAST_CPU_S
) -> Allowance:
    """For one bundle on the CPU, at most `limit`; `least_cpu_s` is what the smallest gets."""
    weight = sum(plain_files(directory).values())
    signature = manifest.signature_spec()
    border = row_bytes(signature, manifest.buckets)
    peak = _PEAK_BYTES + _PEAK_FILES * weight + _PEAK_BORDER * border
    cpu = min(limit.cpu_seconds, ceil(least_cpu_s) + weight // _BYTES_PER_CPU_S)
    return Allowance(
        wall_seconds=min(limit.wall_seconds, _WALL * cpu),
        busy_seconds=min(limit.wall_seconds, _BUSY * cpu),
        cpu_seconds=cpu,
        memory_bytes=min(limit.memory_bytes, _ADDRESSES + peak),
        peak_bytes=min(limit.peak_bytes, peak),
    )


def row_bytes(
    signature: Signature, buckets: Mapping[str, Sequence[int]] = MappingProxyType({})
) -> int:
    """Of one row's inputs and outputs; an axis counts as the largest of its buckets, else as 1."""
    most = {axis: sizes[-1] for axis, sizes in buckets.items()}
    return sum(_bytes_of(spec, most) for spec in (*signature.inputs, *signature.outputs))


def _bytes_of(spec: TensorSpec, most: Mapping[str, int]) -> int:
    fixed = prod(dim if isinstance(dim, int) else most.get(dim, 1) for dim in spec.shape)
    return fixed * np.dtype(NUMPY[spec.datatype]).itemsize
