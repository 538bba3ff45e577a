"""The built-in provider `openvino`: Intel's runtime through the wheel `onnxruntime-openvino`.

On `CPU` it runs on any x86 processor, AMD's among them; GPU and NPU are Intel's.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from plaza_accel.contract.metering import EXCLUSIVE, OF_THREAD, Metering
from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorOptions, Device, RayResource
from plaza_accel.providers.classic import ClassicProvider
from plaza_accel.providers.devices import intel, processor

_RAY: Final = {"CPU": None, "GPU": "GPU", "NPU": "intel_npu"}
"""Ray's own NPU is Ascend's, so Intel's is a custom resource."""


_NEEDS: Final = {
    "CPU": Needs(),
    "GPU": Needs(
        readable=("/etc/OpenCL/vendors", "/sys/class/drm", "/sys/dev/char", "/sys/devices"),
        devices=("/dev/dri/renderD*",),
        variables=("LD_LIBRARY_PATH", "ONEAPI_DEVICE_SELECTOR", "ZE_AFFINITY_MASK"),
        limit_addresses=False,
    ),
    "NPU": Needs(
        readable=("/sys/class/accel", "/sys/dev/char", "/sys/devices"),
        devices=("/dev/accel/accel[0-9]*",),
        variables=("LD_LIBRARY_PATH", "ZE_AFFINITY_MASK"),
        limit_addresses=False,
    ),
}
"""Devices: what OpenVINO's notebooks and model server have handed into a container, of /dev/dri the
render nodes only, as the others are for displays. /etc/OpenCL/vendors is where the package of
Intel's OpenCL driver registers it. In /sys a device is described (the other folders hold links into
/sys/devices); which parts the drivers read, and whether they reserve addresses, is supposed, not
known."""


class OpenvinoOptions(AcceleratorOptions):
    """Keys of ONNX Runtime's OpenVINO provider. Paths (cache_dir, load_config) are not offered."""

    device_type: Literal["CPU", "GPU", "NPU"] = Field("CPU", description="Where it computes.")
    precision: Literal["FP32", "FP16", "ACCURACY"] | None = Field(
        None,
        description="What it computes in; unset: the device's own; ACCURACY: as the model says.",
    )
    num_of_threads: int = Field(1, ge=1, le=256, description="Threads of one run on the CPU.")
    num_streams: int = Field(1, ge=1, le=64, description="Runs that the device takes at a time.")
    enable_opencl_throttling: bool = Field(
        False, description="Less CPU while waiting for the GPU, for a little latency."
    )
    disable_dynamic_shapes: bool = Field(
        False, description="Compile anew for each shape instead of once for all."
    )


class OpenvinoProvider(ClassicProvider[OpenvinoOptions]):
    name: ClassVar[str] = "openvino"
    execution: ClassVar[str] = "OpenVINOExecutionProvider"
    extra: ClassVar[str] = "ort-openvino"

    @property
    def resource(self) -> RayResource | None:
        kind = _RAY[self.options.device_type]
        return RayResource(kind, self.options.ray_amount) if kind else None

    @property
    def needs(self) -> Needs:
        return _NEEDS[self.options.device_type]

    @property
    def metering(self) -> Metering:
        """On the processor its threads are divided among streams, each of which takes one run. With
        one thread it computes on the one that calls it, also where several call at once (seen)."""
        threads = self.options.num_of_threads
        if self.options.device_type != "CPU":
            return EXCLUSIVE
        if threads == 1:
            return OF_THREAD
        streams = min(self.options.num_streams, threads)
        return Metering(-(-threads // streams), at_once=streams)

    def native_options(self) -> dict[str, str]:
        words = {"1": "true", "0": "false"}
        switches = ("enable_opencl_throttling", "disable_dynamic_shapes")
        plain = super().native_options()
        return {**plain, **{name: words[plain[name]] for name in switches}}

    def look(self) -> tuple[Device, ...]:
        kind = self.options.device_type
        return (processor(),) if kind == "CPU" else intel(kind.lower())


provider = OpenvinoProvider(OpenvinoOptions())
