"""The provider `nxrt`: a plug-in library that computes on the CPU, beside plain ONNX Runtime.

All that a package must bring: the names, a schema of options, and one object for the entry point.
"""

from __future__ import annotations

import os
from typing import ClassVar

from plaza_accel.contract.metering import Metering
from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorOptions
from plaza_accel.providers.plugin import PluginProvider


class NxrtOptions(AcceleratorOptions):
    """The library has no options of its own; what every provider takes is inherited."""


class NxrtProvider(PluginProvider[NxrtOptions]):
    name: ClassVar[str] = "nxrt"
    execution: ClassVar[str] = "cpu_ep"
    distribution: ClassVar[str] = "nxrt-ep-cpu"
    module: ClassVar[str] = "nxrt_ep_cpu"

    @property
    def needs(self) -> Needs:
        """Nothing: it lies among this interpreter's packages and opens no device. One that does
        names here the device files, and its maker's folders and variables."""
        return Needs()

    @property
    def metering(self) -> Metering:
        """It computes on threads of its own, one per processor: of 5.7 ms that a product took the
        calling thread had spent 0.4. A device that is no processor leaves this out."""
        return Metering(threads=len(os.sched_getaffinity(0)))


provider = NxrtProvider(NxrtOptions())
