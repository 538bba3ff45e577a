"""Providers that come as a library beside plain ONNX Runtime: several in one process.

A package of such a library offers `get_library_path()`. It is registered once per process, under
the name of the package, and stays: unregistering is only safe when every session is gone.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Final

from plaza_accel.contract.provider import Device, Probe, Versions
from plaza_accel.providers.classic import runtime_versions
from plaza_accel.providers.mechanism import Mechanism, OptionsT
from plaza_core.errors import ProviderUnavailable

if TYPE_CHECKING:
    from plaza_accel.sessions.options import SessionPlan

_log = logging.getLogger(__name__)

_KINDS: Final = {"CPU": "cpu", "GPU": "gpu", "NPU": "npu"}

_lock = threading.Lock()
_registered: set[str] = set()


@dataclass(frozen=True)
class PluginProvider(Mechanism[OptionsT]):
    """Base of the providers of this mechanism; a subclass fills in names and a schema."""

    distribution: ClassVar[str]
    """What to `pip install`."""
    module: ClassVar[str]
    """Offers `get_library_path()`."""
    hint: ClassVar[str] = "look at the log, and at what the library's maker asks of the machine"
    """What an operator looks at where the library loads and finds no device."""

    def versions(self) -> Versions:
        try:
            own = f"{self.distribution} {version(self.distribution)}"
        except PackageNotFoundError:
            raise ProviderUnavailable(f"'{self.distribution}' is not installed") from None
        return Versions(own, runtime_versions().runtime)

    def probe(self) -> Probe:
        try:
            found = self.ep_devices()
            return Probe(True, self.versions().provider, tuple(_device(one) for one in found))
        except ProviderUnavailable as error:
            return Probe(False, error.message)

    def ep_devices(self) -> list[Any]:
        """ONNX Runtime's devices of this library, registering it first. Raises
        ProviderUnavailable."""
        self._register()
        import onnxruntime

        found = [d for d in onnxruntime.get_ep_devices() if d.ep_name == self.execution]
        if not found:
            raise ProviderUnavailable(
                f"{self.distribution} is loaded and offers no device here: {self.hint}"
            )
        return found

    def _register(self) -> None:
        try:
            library = import_module(self.module).get_library_path()
        except ModuleNotFoundError:
            raise ProviderUnavailable(
                f"install '{self.distribution}' into this environment, beside onnxruntime"
            ) from None
        except (ImportError, OSError, AttributeError, RuntimeError) as error:
            _log.warning("%s has no library to register: %s", self.distribution, error)
            raise ProviderUnavailable(
                f"'{self.distribution}' brings no library for this machine"
            ) from None
        with _lock:
            if self.distribution not in _registered:
                _load(self.distribution, str(library))
                _registered.add(self.distribution)

    def plan(self) -> SessionPlan:
        return replace(super().plan(), ep_devices=tuple(self.ep_devices()[:1]))


def _load(distribution: str, library: str) -> None:
    try:
        import onnxruntime

        from plaza_accel.sessions.native import NATIVE_ERRORS
    except (ImportError, OSError):
        raise ProviderUnavailable(
            "this environment has no ONNX Runtime that loads; install the extra 'ort-cpu'"
        ) from None
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        raise ProviderUnavailable(
            f"onnxruntime {onnxruntime.__version__} takes no such libraries; 1.23 is the first"
        )
    try:
        onnxruntime.register_execution_provider_library(distribution, library)
    except NATIVE_ERRORS as error:
        _log.warning("%s was not registered: %s", distribution, error)
        raise ProviderUnavailable(
            f"'{distribution}' cannot be loaded by onnxruntime {onnxruntime.__version__}; the log "
            "says why"
        ) from None


def _device(found: Any) -> Device:
    kind = str(found.device.type.name).upper()
    label = f"{found.device.vendor} {kind} ({found.ep_vendor})"
    return Device(label, _KINDS.get(kind, "npu"))
