"""What providers state and do alike, whichever way their code comes: options, cost, opening.

`classic.py` and `plugin.py` add where the execution provider is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from plaza_accel.contract.metering import EXCLUSIVE, Metering
from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import (
    AcceleratorOptions,
    PlacedRunner,
    RayResource,
    parse_options,
)
from plaza_core.manifest import Manifest

if TYPE_CHECKING:
    from plaza_accel.sessions.options import SessionPlan

OptionsT = TypeVar("OptionsT", bound=AcceleratorOptions)


@dataclass(frozen=True)
class Accelerator(Generic[OptionsT]):
    """What every provider but `cpu` states of itself."""

    name: ClassVar[str]
    ray: ClassVar[str | None] = None
    static_shapes: ClassVar[bool] = False

    options: OptionsT

    @property
    def needs(self) -> Needs:
        return Needs()

    @property
    def schema(self) -> type[OptionsT]:
        return type(self.options)

    @property
    def weight(self) -> int:
        return self.options.weight

    @property
    def metering(self) -> Metering:
        return EXCLUSIVE

    @property
    def resource(self) -> RayResource | None:
        return RayResource(self.ray, self.options.ray_amount) if self.ray else None

    def with_options(self, options: Mapping[str, Any]) -> Self:
        return replace(self, options=parse_options(type(self.options), options))


@dataclass(frozen=True)
class Mechanism(Accelerator[OptionsT]):
    """Base of the providers that open sessions on an execution provider of their own."""

    execution: ClassVar[str]
    """ONNX Runtime's name."""

    def plan(self) -> SessionPlan:
        """How a session is opened. Raises ProviderUnavailable."""
        from plaza_accel.sessions.options import SessionPlan

        return SessionPlan(
            provider=self.name,
            execution=(self.execution,),
            options=(self.native_options(),),
            cpu_share=self.options.cpu_share,
        )

    def native_options(self) -> dict[str, str]:
        """The options as ONNX Runtime reads them: those of the schema that are its own, set."""
        shared = AcceleratorOptions.model_fields
        return {
            name: as_text(value)
            for name, value in self.options.model_dump().items()
            if name not in shared and value is not None
        }

    def open(self, directory: Path, manifest: Manifest) -> PlacedRunner:
        from plaza_accel.sessions.session import open_runner

        declared = self.options.buckets if self.static_shapes else None
        return open_runner(directory, manifest, self.plan(), declared)

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        from plaza_accel.sessions.session import estimate_bytes

        return estimate_bytes(directory, manifest)


def as_text(value: object) -> str:
    """ONNX Runtime's provider options are strings; a truth value is 1 or 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)
