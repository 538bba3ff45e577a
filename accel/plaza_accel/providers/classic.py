"""Providers that come inside a wheel of ONNX Runtime: one environment per flavour.

Owns their probe: device, then wheel, then the libraries it needs. A provider adds a schema, a look
at its hardware, and the names.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from plaza_accel.contract.provider import Device, Probe, Versions
from plaza_accel.providers.devices import NoDevice, first_unloadable
from plaza_accel.providers.mechanism import Mechanism, OptionsT
from plaza_core.errors import ProviderUnavailable


@dataclass(frozen=True)
class ClassicProvider(Mechanism[OptionsT], abc.ABC):
    """Base of the providers of this mechanism."""

    extra: ClassVar[str]
    """The extra of Plaza whose environment brings it."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Shared libraries of the maker that the wheel does not bring."""
    toolkit: ClassVar[str] = ""
    """What an operator installs where one of `libraries` is missing."""

    @abc.abstractmethod
    def look(self) -> tuple[Device, ...]:
        """The devices of this machine. Raises NoDevice."""

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
