"""The provider `nxrt`: a plug-in library that computes on the CPU, beside plain ONNX Runtime.

All that a package must bring: the names, a schema of options, and one object for the entry point.
"""

from __future__ import annotations

from typing import ClassVar

from plaza_accel.plugin import PluginProvider
from plaza_accel.provider import AcceleratorOptions


class NxrtOptions(AcceleratorOptions):
    """The library has no options of its own; what every provider takes is inherited."""


class NxrtProvider(PluginProvider[NxrtOptions]):
    name: ClassVar[str] = "nxrt"
    execution: ClassVar[str] = "cpu_ep"
    distribution: ClassVar[str] = "nxrt-ep-cpu"
    module: ClassVar[str] = "nxrt_ep_cpu"


provider = NxrtProvider(NxrtOptions())
