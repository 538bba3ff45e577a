"""The built-in provider `cpu`: ONNX Runtime's own kernels on the host's processor.

ONNX Runtime is imported when the provider is first probed or opened, so that naming it is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pydantic import Field

from plaza_accel.contract.metering import OF_THREAD, Metering
from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import (
    Probe,
    ProviderOptions,
    RayResource,
    Versions,
    parse_options,
)
from plaza_accel.providers.devices import processor
from plaza_core.manifest import Manifest

if TYPE_CHECKING:
    from plaza_accel.sessions.session import OrtRunner

EXECUTION_PROVIDER: Final = "CPUExecutionProvider"


class CpuOptions(ProviderOptions):
    """Threads of one run. One by default: a replica's parallelism is its worker threads, and the
    processor time of a run is then the time of the thread that made it. Operators run one after the
    other, so threads of one operator are all there is to choose."""

    intra_op: int = Field(1, ge=1, le=256, description="Threads that share one operator.")


@dataclass(frozen=True, slots=True)
class CpuProvider:
    name: ClassVar[str] = "cpu"
    weight: ClassVar[int] = 1
    schema: ClassVar[type[CpuOptions]] = CpuOptions
    resource: ClassVar[RayResource | None] = None
    static_shapes: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs()

    options: CpuOptions = field(default_factory=CpuOptions)

    @property
    def metering(self) -> Metering:
        """Each run has its own threads and its own part of the processor, so none waits."""
        threads = self.options.intra_op
        return OF_THREAD if threads == 1 else Metering(threads, at_once=None)

    def probe(self) -> Probe:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            return Probe(False, "no ONNX Runtime is installed; install the extra 'ort-cpu'")
        except (ImportError, OSError):
            return Probe(False, "the installed ONNX Runtime cannot be loaded on this machine")
        if EXECUTION_PROVIDER not in onnxruntime.get_available_providers():
            return Probe(False, "this ONNX Runtime was built without its CPU provider")
        return Probe(True, f"onnxruntime {onnxruntime.__version__}", (processor(),))

    def versions(self) -> Versions:
        from plaza_accel.providers.classic import runtime_versions

        return runtime_versions()

    def with_options(self, options: Mapping[str, Any]) -> Self:
        return type(self)(parse_options(CpuOptions, options))

    def open(self, directory: Path, manifest: Manifest) -> OrtRunner:
        from plaza_accel.sessions.options import SessionPlan
        from plaza_accel.sessions.session import open_unpadded

        plan = SessionPlan(
            provider=self.name,
            execution=(EXECUTION_PROVIDER,),
            strict=False,  # it is what the others must not fall back to
            intra_op=self.options.intra_op,
            shares_arena=True,
        )
        return open_unpadded(directory, manifest, plan)

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        from plaza_accel.sessions.session import estimate_bytes

        return estimate_bytes(directory, manifest)


provider = CpuProvider()
