"""An accelerator in memory: compiles per shape and counts it. For tests of what uses such a one.

It computes with ONNX Runtime's CPU kernels and says so in its placement; what it imitates is the
behaviour of a device that needs a program per shape, not the device. No entry point names it, so
that no pool can.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from plaza_accel.contract.provider import (
    AcceleratorOptions,
    PlacedRunner,
    Probe,
    Versions,
)
from plaza_accel.providers import cpu
from plaza_accel.providers.mechanism import Accelerator
from plaza_accel.sessions.buckets import bucketed, compiled
from plaza_core.manifest import Manifest
from plaza_core.tensors import Array, Signature

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Of all inputs, by name."""


class CompilingRunner:
    """Runs on the CPU; remembers each combination of input shapes, as a compiler would."""

    def __init__(self, inner: PlacedRunner) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self.compiled: Counter[Shapes] = Counter()
        """Shapes -> runs with them; its length is the number of compilations."""
        self.provider = TwinProvider.name
        self.resident_bytes = inner.resident_bytes
        self.placement = inner.placement

    @property
    def signature(self) -> Signature:
        return self._inner.signature

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        with self._lock:
            self.compiled[tuple(sorted((name, a.shape) for name, a in inputs.items()))] += 1
        return self._inner.run(inputs, outputs)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True)
class TwinProvider(Accelerator[AcceleratorOptions]):
    """Satisfies the whole contract; `runners` holds what it opened, for the test to look at."""

    name: ClassVar[str] = "twin"
    ray: ClassVar[str | None] = "twin"
    static_shapes: ClassVar[bool] = True

    options: AcceleratorOptions = field(default_factory=AcceleratorOptions)
    runners: list[CompilingRunner] = field(default_factory=list, compare=False)

    def versions(self) -> Versions:
        return cpu.provider.versions()

    def probe(self) -> Probe:
        return cpu.provider.probe()

    def open(self, directory: Path, manifest: Manifest) -> PlacedRunner:
        def on_cpu() -> PlacedRunner:
            return cpu.provider.open(directory, manifest)

        runner = CompilingRunner(on_cpu())
        opened = bucketed(runner, compiled(manifest, self.options.buckets), on_cpu)
        self.runners.append(runner)
        return opened

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        return cpu.provider.weigh(directory, manifest)


provider = TwinProvider()
