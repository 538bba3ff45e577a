"""Providers that come inside a wheel of ONNX Runtime: one environment per flavour.

Owns what they have in common: the probe (device, then wheel, then the libraries it needs), the plan
of a session from options, and opening in declared shapes. A provider adds a schema, a look at its
hardware, and the names.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from plaza_accel.devices import NoDevice, first_unloadable
from plaza_accel.metering import EXCLUSIVE, Metering
from plaza_accel.needs import Needs
from plaza_accel.provider import (
    AcceleratorOptions,
    Device,
    PlacedRunner,
    Probe,
    RayResource,
    Versions,
    parse_options,
)
from plaza_core.errors import ProviderUnavailable
from plaza_core.manifest import Manifest

if TYPE_CHECKING:
    from plaza_accel.options import SessionPlan

OptionsT = TypeVar("OptionsT", bound=AcceleratorOptions)


@dataclass(frozen=True)
class ClassicProvider(abc.ABC, Generic[OptionsT]):
    """Base of the providers of this mechanism."""

    name: ClassVar[str]
    execution: ClassVar[str]
    """ONNX Runtime's name."""
    extra: ClassVar[str]
    """The extra of Plaza whose environment brings it."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Shared libraries of the maker that the wheel does not bring."""
    toolkit: ClassVar[str] = ""
    """What an operator installs where one of `libraries` is missing."""
    ray: ClassVar[str | None] = None
    static_shapes: ClassVar[bool] = False

    options: OptionsT

    @abc.abstractmethod
    def look(self) -> tuple[Device, ...]:
        """The devices of this machine. Raises NoDevice."""

    def native_options(self) -> dict[str, str]:
        """The options as ONNX Runtime reads them: those of the schema that are its own, set."""
        shared = AcceleratorOptions.model_fields
        return {
            name: as_text(value)
            for name, value in self.options.model_dump().items()
            if name not in shared and value is not None
        }

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

    def versions(self) -> Versions:
        return runtime_versions()

    def probe(self) -> Probe:
        try:
            devices = self.look()
        except NoDevice as error:
            return Probe(False, str(error))
        problem = self._environment()
        return Probe(False, problem) if problem else Probe(True, self.versions().provider, devices)

    def _environment(self) -> str | None:
        """What is wrong with this interpreter's environment, or None."""
        make = f"make one with the extra '{self.extra}' and name it for the pool"
        try:
            import onnxruntime
        except ModuleNotFoundError:
            return f"this environment has no ONNX Runtime: {make}"
        except (ImportError, OSError):
            return f"this environment's ONNX Runtime cannot be loaded on this machine: {make}"
        if self.execution not in onnxruntime.get_available_providers():
            wheel = runtime_versions().provider
            return f"this environment's {wheel} has no {self.execution}: {make}"
        missing = first_unloadable(self.libraries)
        if missing is not None:
            return f"{missing} cannot be loaded: {self.toolkit}"
        return None

    def with_options(self, options: Mapping[str, Any]) -> Self:
        return type(self)(parse_options(type(self.options), options))

    def plan(self) -> SessionPlan:
        from plaza_accel.options import SessionPlan

        return SessionPlan(
            provider=self.name,
            execution=(self.execution,),
            options=(self.native_options(),),
            cpu_share=self.options.cpu_share,
        )

    def open(self, directory: Path, manifest: Manifest) -> PlacedRunner:
        from plaza_accel.session import open_runner

        declared = self.options.buckets if self.static_shapes else None
        return open_runner(directory, manifest, self.plan(), declared)

    def weigh(self, directory: Path, manifest: Manifest) -> int:
        from plaza_accel.session import estimate_bytes

        return estimate_bytes(directory, manifest)


def as_text(value: object) -> str:
    """ONNX Runtime's provider options are strings; a truth value is 1 or 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def runtime_versions() -> Versions:
    """The wheel of ONNX Runtime that this process imports, which brings its providers too."""
    try:
        import onnxruntime
    except (ImportError, OSError):
        raise ProviderUnavailable("this environment has no ONNX Runtime that loads") from None
    # The module knows its wheel; the installation's list may name another that it has replaced.
    wheel = getattr(onnxruntime, "package_name", "onnxruntime")
    version = onnxruntime.__version__
    return Versions(f"{wheel} {version}", f"onnxruntime {version}")
